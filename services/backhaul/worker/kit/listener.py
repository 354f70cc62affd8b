"""A listener as its service defines it: one function for the events that match some patterns."""

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.worker.kit.patterns import check_patterns
from backhaul.worker.kit.retry_policy import RetryPolicy
from backhaul.worker.kit.signature import Unresolved, hints_of, is_context
from backhaul.worker.kit.task_event import TaskEvent
from backhaul_contracts.kinds import Interest

RETRY = RetryPolicy(max_attempts=5, base="1s", cap="1m")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_LONGEST_HOLD = timedelta(minutes=25)
"""RabbitMQ takes a message back after 30."""
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(slots=True)
class Listener:
    """One function for events, with its options. `resources` maps its parameters to their types; it is None while its
    annotations cannot be resolved."""

    service: str
    name: str
    patterns: tuple[str, ...]
    function: Callable[..., Any]
    slots: int
    timeout: timedelta
    retry: RetryPolicy
    resources: Mapping[str, type] | None = field(default=None, repr=False)

    @property
    def in_thread(self) -> bool:
        return not inspect.iscoroutinefunction(self.function)

    @property
    def queue(self) -> str:
        return topology.event_queue(self.service, self.name)

    @property
    def interest(self) -> Interest:
        """What is announced of it."""
        return Interest(service=self.service, name=self.name, patterns=list(self.patterns))

    def read(self, names: Mapping[str, Any]) -> None:
        """Read the annotations as far as they can be resolved. Raises `ConfigurationError` for what can never work."""
        with suppress(Unresolved):
            self.resources = _read(str(self), self.function, names)

    def resolved(self) -> Mapping[str, type]:
        """The resources it wants. Raises `ConfigurationError` if an annotation names something that does not exist."""
        if self.resources is None:
            try:
                self.resources = _read(str(self), self.function, {})
            except Unresolved as error:
                raise ConfigurationError(
                    f"{self} has an annotation that cannot be resolved ({error}): "
                    "import or define that type in its module"
                ) from error
        return self.resources

    def __str__(self) -> str:
        return f"listener {self.name} ({self.function.__module__}.{self.function.__qualname__})"


def listener(
    service: str,
    patterns: tuple[object, ...],
    function: Callable[..., Any],
    *,
    name: str | None,
    slots: int,
    timeout: timedelta,
    retry: RetryPolicy,
) -> Listener:
    """The listener that a function is. Raises `ConfigurationError` for what can never work."""
    called = getattr(function, "__name__", None) if name is None else name
    what = f"listener {called} of service {service}"
    if not inspect.isfunction(function):
        raise ConfigurationError(f"{what} is {function!r}: decorate a function, def or async def")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{what} yields, and nobody takes what it yields: do the work and return")
    if not isinstance(called, str) or not _NAME.fullmatch(called):
        raise ConfigurationError(
            f"{what} has no name for a queue: give it one with name='index' (letters, digits, -, _)"
        )
    _check_hold(what, timeout, retry)
    return Listener(
        service=service,
        name=called,
        patterns=check_patterns(what, patterns),
        function=function,
        slots=slots,
        timeout=timeout,
        retry=retry,
    )


def _check_hold(what: str, timeout: timedelta, retry: RetryPolicy) -> None:
    """An event is held for as long as it is tried."""
    attempts = retry.max_attempts
    longest = attempts * timeout + (attempts - 1) * retry.rule.cap
    if longest > _LONGEST_HOLD:
        raise ConfigurationError(
            f"{what} may try an event for {longest.total_seconds() / 60:g} minutes, and RabbitMQ takes it back after "
            "30: give it a shorter timeout, or a RetryPolicy with a shorter cap or fewer attempts"
        )


def _read(listener: str, function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, type]:
    hints = hints_of(function, names)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or hints.get(parameters[0].name) is not TaskEvent:
        raise ConfigurationError(f"{listener} takes no event: annotate its first parameter with backhaul.TaskEvent")
    for parameter in parameters[1:]:
        _check_parameter(listener, parameter, hints.get(parameter.name))
    return {parameter.name: hints[parameter.name] for parameter in parameters[1:]}


def _check_parameter(listener: str, parameter: inspect.Parameter, hint: Any) -> None:
    if is_context(hint):
        raise ConfigurationError(f"{listener} wants a Context, which only handlers of tasks have: remove the parameter")
    if hint is None or parameter.kind not in _BY_NAME:
        raise ConfigurationError(
            f"{listener} has a parameter {str(parameter)!r} that nothing can be given to: "
            "take the event first, then resources by name, each annotated"
        )
