"""A handler as its service defines it: one function for one kind."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from backhaul.core.errors import ConfigurationError
from backhaul.worker.kit.retry_policy import RetryPolicy
from backhaul.worker.kit.signature import Signature, Unresolved, read_signature
from backhaul_contracts.kinds import KindSpec


class RunIn(StrEnum):
    """Where a handler runs."""

    LOOP = "loop"
    """On the event loop: `async def`."""
    THREAD = "thread"
    """In a thread of its own: `def`. It can be asked to stop, not forced."""
    PROCESS = "process"
    """In a child process: `def`. It can be killed."""


@dataclass(slots=True)
class Handler:
    """One function for one kind, with its options. `signature` is None while its annotations cannot be resolved."""

    kind: str
    function: Callable[..., Any]
    version: str
    queue: str
    timeout: timedelta
    grace: timedelta
    retry: RetryPolicy
    run_in: RunIn
    slots: int | None
    """How many tasks of this kind one worker runs at a time; None: as many as the service has slots."""
    exclusive: bool
    signature: Signature | None = field(default=None, repr=False)

    def read(self, names: Mapping[str, Any]) -> None:
        """Read the annotations as far as they can be resolved. Raises `ConfigurationError` for what can never work."""
        with suppress(Unresolved):
            self.signature = read_signature(str(self), self.function, names)

    def resolved(self) -> Signature:
        """The types. Raises `ConfigurationError` if an annotation names something that does not exist."""
        if self.signature is None:
            try:
                self.signature = read_signature(str(self), self.function, {})
            except Unresolved as error:
                raise ConfigurationError(
                    f"{self} has an annotation that cannot be resolved ({error}): "
                    "import or define that type in the handler's module"
                ) from error
        return self.signature

    def spec(self, service: str, service_version: str) -> KindSpec:
        """What is announced of it. Raises `ConfigurationError` if its annotations cannot be resolved."""
        signature = self.resolved()
        return KindSpec(
            kind=self.kind,
            version=self.version,
            service=service,
            service_version=service_version,
            queue=self.queue,
            timeout=self.timeout,
            grace=self.grace,
            retry=self.retry.rule,
            input_schema=signature.input.input_schema,
            result_schema=signature.result.result_schema,
        )

    def __str__(self) -> str:
        return f"handler {self.kind} ({self.function.__module__}.{self.function.__qualname__})"


def place(kind: str, function: Callable[..., Any], run_in: str | None) -> RunIn:
    """Where `function` runs. Raises `ConfigurationError` if it cannot run there."""
    name = f"handler {kind}"
    if not inspect.isfunction(function):
        raise ConfigurationError(f"{name} is {function!r}: decorate a function, def or async def")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{name} yields: send parts with ctx.output(…) and return the result")
    is_async = inspect.iscoroutinefunction(function)
    fitting = (RunIn.LOOP,) if is_async else (RunIn.THREAD, RunIn.PROCESS)
    if run_in is None or run_in in fitting:
        return fitting[0] if run_in is None else RunIn(run_in)
    if run_in not in tuple(RunIn):
        raise ConfigurationError(f"{name} has run_in={run_in!r}: use 'loop', 'thread' or 'process', or leave it out")
    needed = "a plain def" if is_async else "async def"
    inside = " (asyncio.run is welcome inside of it)" if run_in == RunIn.PROCESS else ""
    raise ConfigurationError(f"{name} has run_in={run_in!r}: make it {needed}{inside}, or leave run_in out")
