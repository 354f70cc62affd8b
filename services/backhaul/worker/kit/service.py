"""A service: a name, its handlers, and what they share. This is what a service's author writes against."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, TypeVar

from backhaul.core.errors import ConfigurationError
from backhaul.worker.kit import resources
from backhaul.worker.kit.checks import (
    check_kind,
    check_name,
    check_options,
    check_platform,
    check_slots,
    check_version,
    option_length,
)
from backhaul.worker.kit.handler import Handler, RunIn, place
from backhaul.worker.kit.listener import RETRY, Listener, listener
from backhaul.worker.kit.origin import origin
from backhaul.worker.kit.resources import Resource
from backhaul.worker.kit.retry_policy import Length, RetryPolicy
from backhaul_contracts.kinds import Announcement

Function = TypeVar("Function", bound=Callable[..., Any])
Opener = TypeVar("Opener", bound=Callable[[], AsyncIterator[Any]])


class Service:
    """`slots`: how many tasks one worker runs at a time; async handlers may have hundreds.

    `max_blocked`: how many `def` handlers may wait for calls beside these, each in a thread or process that is blocked.

    Definitions that cannot work raise `ConfigurationError`, one sentence that says what to change.
    """

    def __init__(self, name: str, version: str = "0.0.0", slots: int = 10, *, max_blocked: int = 32) -> None:
        check_name("service", name)
        check_slots(f"service {name}", slots)
        check_slots(f"service {name}", max_blocked, "max_blocked")
        check_version(f"service {name}", version)
        self.name = name
        self.version = version
        self.slots = slots
        self.max_blocked = max_blocked
        self.handlers: dict[str, Handler] = {}
        self.listeners: dict[str, Listener] = {}
        self.resources: list[Resource] = []
        self.place: str | None = None
        """`MODULE:NAME` where it was loaded from, if it was."""

    def handler(
        self,
        kind: str,
        *,
        timeout: Length = "10m",
        retry: RetryPolicy | None = None,
        run_in: str | None = None,
        grace: Length = "10s",
        queue: str | None = None,
        slots: int | None = None,
        version: str = "1",
        exclusive: bool = False,
    ) -> Callable[[Function], Function]:
        """Make the decorated function handle tasks of `kind`. The function itself stays as it is.

        Its first parameter is the input, its return value the result (pydantic models, dataclasses, TypedDicts,
        scalars, None). Beside these it may take a `Context` and resources, found by their types.

        - `timeout`: how long one attempt may run; then it fails as `timed_out` and is retried by the policy.
        - `retry`: default `RetryPolicy()`, three attempts.
        - `run_in`: `"loop"` (async def), `"thread"` or `"process"` (def); default by the function, never a process.
          Only a process is sure to end when it is stopped, and takes nothing with it when it crashes.
        - `grace`: how long an attempt that is asked to stop may take.
        - `queue`: where its tasks wait; default the service's name.
        - `slots`: limit for this kind within the service's slots; default none.
        - `version`: of the kind's contract; change it when input or result change in a breaking way.
        - `exclusive`: stop an attempt before its lease can end unseen, so that two attempts never overlap, at the
          price of stopping in an outage.
        """
        self._check_new(kind)
        check_options(kind, queue=self.name if queue is None else queue, slots=slots, version=version, retry=retry)
        make = partial(
            Handler,
            kind=kind,
            version=version,
            queue=queue or self.name,
            timeout=option_length(f"handler {kind}", "timeout", timeout),
            grace=option_length(f"handler {kind}", "grace", grace),
            retry=retry or RetryPolicy(),
            slots=slots,
            exclusive=exclusive,
        )
        names = _names_of_caller()

        def define(function: Function) -> Function:
            self._add(make(function=function, run_in=place(kind, function, run_in)), names)
            return function

        return define

    def on(
        self,
        *patterns: str,
        name: str | None = None,
        slots: int = 10,
        timeout: Length = "1m",
        retry: RetryPolicy = RETRY,
    ) -> Callable[[Function], Function]:
        """Have the decorated function called with each `TaskEvent` that matches one of the patterns, at least once.

        A pattern is written like a binding key of AMQP, for keys `task.<kind>.<event>`: `*` is one word, `#` any number
        of them. Events wait in a durable queue of this function's own, which all workers of the service share. Beside
        the event the function may take resources, found by their types.

        - `name`: of the queue, within the service; default the function's name.
        - `slots`: how many events one worker handles at a time, beside its tasks.
        - `timeout`: how long an `async def` may take for one event. A `def` runs in a thread, which nothing stops.
        - `retry`: default five attempts. Then the event is a dead letter, which a replay sends here again.
        """
        what = f"listener on {', '.join(map(str, patterns))} of service {self.name}"
        check_slots(what, slots)
        length = option_length(what, "timeout", timeout)
        names = _names_of_caller()

        def define(function: Function) -> Function:
            made = listener(self.name, patterns, function, name=name, slots=slots, timeout=length, retry=retry)
            if made.name in self.listeners:
                raise ConfigurationError(
                    f"{made} is defined twice in service {self.name}: "
                    "give all patterns to one @service.on, or one of them another name='…'"
                )
            made.read(names)
            self.listeners[made.name] = made
            return function

        return define

    def resource(self, opener: Opener) -> Opener:
        """Share what the decorated async generator yields: opened once a worker, closed at its end.

        It is annotated `-> AsyncIterator[T]`; handlers get the value by a parameter annotated `T`.
        """
        resource = resources.define(opener, _names_of_caller())
        if any(known.provides is resource.provides for known in self.resources):
            raise ConfigurationError(
                f"{resource} provides {resource.provides.__name__}, as another one does: give it a type of its own"
            )
        self.resources.append(resource)
        return opener

    def check(self) -> None:
        """Return if the service can start. Raises `ConfigurationError` for the first thing that is missing."""
        if not self.handlers and not self.listeners:
            raise ConfigurationError(f"service {self.name} has no handler: define one with @service.handler('…')")
        provided = {resource.provides for resource in self.resources}
        for each in self.listeners.values():
            _check_parameters(str(each), each.resolved(), provided)
        for handler in self.handlers.values():
            _check_parameters(str(handler), handler.resolved().resources, provided)
            if handler.run_in is RunIn.PROCESS:
                check_platform(str(handler))
                origin(self, handler)

    @property
    def has_exclusive(self) -> bool:
        return any(handler.exclusive for handler in self.handlers.values())

    def resources_here(self) -> list[Resource]:
        """Those that the worker itself opens: all but what only handlers in child processes want."""
        here, there = set[type](), set[type]()
        for handler in self.handlers.values():
            (there if handler.run_in is RunIn.PROCESS else here).update(handler.resolved().resources.values())
        for each in self.listeners.values():
            here.update(each.resolved().values())
        return [resource for resource in self.resources if resource.provides not in there - here]

    def announcement(self) -> Announcement:
        """Its kinds, and the events it listens to, as they are announced."""
        return Announcement(
            kinds=[handler.spec(self.name, self.version) for handler in self.handlers.values()],
            interests=[each.interest for each in self.listeners.values()],
        )

    def with_slots(self, slots: int) -> "Service":
        """The same service with another number of slots."""
        check_slots(f"service {self.name}", slots)
        twin = Service(self.name, self.version, slots, max_blocked=self.max_blocked)
        twin.handlers, twin.listeners = self.handlers, self.listeners
        twin.resources, twin.place = self.resources, self.place
        return twin

    def _check_new(self, kind: str) -> None:
        check_kind(kind)
        if kind in self.handlers:
            raise ConfigurationError(
                f"handler {kind} is defined twice in service {self.name}: give one of them another kind"
            )

    def _add(self, handler: Handler, names: Mapping[str, Any]) -> None:
        self._check_new(handler.kind)
        handler.read(names)
        self.handlers[handler.kind] = handler

    def __repr__(self) -> str:
        return f"<Service {self.name} {self.version}: {', '.join(self.handlers) or 'no handlers'}>"


def _check_parameters(owner: str, wants: Mapping[str, type], provided: AbstractSet[type]) -> None:
    for name, wanted in wants.items():
        if wanted not in provided:
            raise ConfigurationError(
                f"{owner} has a parameter {name!r} that is neither a Context nor a resource: "
                f"provide {getattr(wanted, '__name__', wanted)} with @service.resource, or remove it"
            )


def _names_of_caller() -> Mapping[str, Any]:
    """The local names where a decorator is used: types defined in a function are found there."""
    return dict(sys._getframe(2).f_locals)  # noqa: SLF001 - the documented way
