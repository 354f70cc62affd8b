"""Finding services by name: `MODULE:SERVICE`, such as `digest.service:service`."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from backhaul.core.errors import ConfigurationError
from backhaul.worker.kit.service import Service


def load_services(targets: Sequence[str], slots: int | None = None) -> list[Service]:
    """The services that `targets` name, each checked, with `slots` slots if that is given.

    Modules are looked for in the working folder too. Raises `ConfigurationError`, one sentence that says what to do.
    """
    services = [load_service(target) for target in targets]
    names = [service.name for service in services]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"service {name} is named twice: name each service once")
    return services if slots is None else [service.with_slots(slots) for service in services]


def load_service(target: str) -> Service:
    """The service that `target` names, checked. Raises `ConfigurationError`."""
    module_name, colon, path = target.partition(":")
    if not colon or not module_name or not path:
        raise ConfigurationError(f"{target!r} names no service: write MODULE:SERVICE, such as digest.service:service")
    found = _attribute(target, _module(target, module_name), path)
    if not isinstance(found, Service):
        raise ConfigurationError(
            f"{target} is {_described(found)}: name a backhaul.Service{_hint(sys.modules[module_name], module_name)}"
        )
    found.place = target
    found.check()
    return found


def _module(target: str, name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ConfigurationError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"{target} cannot be loaded, there is no module {error.name}: "
                "start where it can be imported, or install it"
            ) from error
        raise ConfigurationError(
            f"{target} cannot be loaded, it imports {error.name}, which is not installed: install it"
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"{target} cannot be loaded, importing {name} raised {type(error).__name__}: {error}: "
            f"repair it; `python -c 'import {name}'` shows where it is"
        ) from error


def _attribute(target: str, module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise ConfigurationError(
                f"{target} cannot be loaded, {module.__name__} has no {path}: "
                f"name a Service{_hint(module, module.__name__)}"
            ) from error
    return found


def _hint(module: ModuleType, name: str) -> str:
    known = [f"{name}:{attribute}" for attribute, value in vars(module).items() if isinstance(value, Service)]
    return f", such as {' or '.join(known)}" if known else " that is defined there"


def _described(found: Any) -> str:
    return found.__name__ if isinstance(found, type) else f"of type {type(found).__name__}"
