"""Where a child process finds a handler again: by the names of what its module defines."""

import importlib
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from backhaul.core.errors import ConfigurationError

if TYPE_CHECKING:
    from backhaul.worker.kit.handler import Handler
    from backhaul.worker.kit.service import Service

_MAIN = "__main__"


class Origin(BaseModel):
    """Places, each `MODULE:NAME`: of the handler's service, or else of its function and of all that goes with it."""

    model_config = ConfigDict(frozen=True)

    service: str | None = None
    function: str | None = None
    resources: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    """The exception types that its policy never retries."""


def find(place: str) -> Any:
    """What is at `place`. Raises whatever its module raises, and `AttributeError` if nothing of the name is there."""
    module, _, path = place.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def origin(service: "Service", handler: "Handler") -> Origin:
    """The origin of a handler. Raises `ConfigurationError` if a child process could not find it."""
    if place := service.place or _place_of_service(service):
        return Origin(service=place)
    function = _place(handler.function)
    if function is None:
        raise ConfigurationError(
            f"{handler} has run_in='process', and a child process cannot find it again: "
            f"{_remedy(handler.function.__module__)}"
        )
    wanted = handler.resolved().resources.values()
    openers = [resource.opener for resource in service.resources if resource.provides in wanted]
    never = handler.retry.never if isinstance(handler.retry.never, tuple) else (handler.retry.never,)
    return Origin(function=function, resources=_places(handler, openers), never=_places(handler, never))


def _remedy(module: str) -> str:
    if module == _MAIN:
        return "move it from the script that is started into a module of its own"
    return "define it, or its service, at the top level of a module"


def _places(handler: "Handler", things: Sequence[Any]) -> tuple[str, ...]:
    return tuple(_sure_place(handler, thing) for thing in things)


def _sure_place(handler: "Handler", thing: Any) -> str:
    place = _place(thing)
    if place is None:
        raise ConfigurationError(
            f"{handler} has run_in='process' and needs {thing.__qualname__}, which a child process cannot find again: "
            f"{_remedy(thing.__module__)}"
        )
    return place


def _place(thing: Any) -> str | None:
    """Where `thing` is, if its own name leads there."""
    place = f"{thing.__module__}:{thing.__qualname__}"
    try:
        found = find(place) if thing.__module__ != _MAIN else None
    except (ImportError, AttributeError):
        return None
    return place if found is thing else None


def _place_of_service(service: "Service") -> str | None:
    """Where the service is, if one of the modules that it is made of has it at its top level."""
    for name in _modules(service):
        for attribute, value in list(vars(sys.modules[name]).items()):
            if type(value) is type(service) and value.handlers is service.handlers:
                return f"{name}:{attribute}"
    return None


def _modules(service: "Service") -> Iterable[str]:
    names = [handler.function.__module__ for handler in service.handlers.values()]
    names += [resource.opener.__module__ for resource in service.resources]
    return [name for name in dict.fromkeys(names) if name in sys.modules and name != _MAIN]
