"""What a child process can run: handlers, found when they are first wanted, and the resources that they share."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from backhaul.worker.attempts.execution import Duty
from backhaul.worker.kit import origin as origins
from backhaul.worker.kit import resources
from backhaul.worker.kit.origin import Origin
from backhaul.worker.kit.retry_policy import RetryPolicy
from backhaul.worker.kit.service import Service


class Unfit(Exception):
    """This process cannot run an attempt: a module or a resource fails. The message names what and why."""


class Repertoire:
    """Modules are imported once and resources opened once, each when a handler first wants it; `close` closes them, in
    reverse order. They live on an event loop that runs only while one is opened or closed."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._values: dict[type, Any] = {}
        self._duties: dict[tuple[Origin, str], Duty] = {}

    def duty(self, origin: Origin, kind: str) -> Duty:
        """The handler of `kind`, ready to be called. Raises `Unfit`."""
        if (origin, kind) not in self._duties:
            self._duties[origin, kind] = self._prepare(origin, kind)
        return self._duties[origin, kind]

    def close(self) -> None:
        """Close all resources."""
        with self._runner:
            self._runner.run(self._stack.aclose())

    def _prepare(self, origin: Origin, kind: str) -> Duty:
        try:
            service = _service(origin, kind)
            handler = service.handlers[kind]
            signature = handler.resolved()
            wanted = {name: self._value(service, provides) for name, provides in signature.resources.items()}
        except (Exception, SystemExit) as error:  # code of the service: whatever it raises
            raise Unfit(f"{type(error).__name__}: {error}") from error
        return Duty(handler, signature, wanted)

    def _value(self, service: Service, provides: type) -> Any:
        if provides not in self._values:
            resource = next(each for each in service.resources if each.provides is provides)
            self._values[provides] = self._runner.run(resources.open_into(self._stack, resource))
        return self._values[provides]


def _service(origin: Origin, kind: str) -> Service:
    """The service of the handler, or one made up of what stands at the places that are named."""
    if origin.service is not None:
        found: Service = origins.find(origin.service)
        if kind not in found.handlers:
            raise LookupError(f"{origin.service} has no handler for {kind} when its module is imported")
        return found
    service = Service("child")
    for place in origin.resources:
        service.resource(origins.find(place))
    never = tuple(origins.find(place) for place in origin.never)
    service.handler(kind, retry=RetryPolicy(never=never), run_in="process")(origins.find(str(origin.function)))
    return service
