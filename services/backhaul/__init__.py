"""Backhaul: long work behind a fast HTTP API. What a service imports; everything is loaded on first use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backhaul.core.errors import CallFailed, Rejected, TooManyCalls
    from backhaul.core.signals import Fail, Retry
    from backhaul.worker.attempts.context import Context
    from backhaul.worker.kit.retry_policy import RetryPolicy
    from backhaul.worker.kit.service import Service
    from backhaul.worker.kit.task_event import TaskEvent

__all__ = ["CallFailed", "Context", "Fail", "Rejected", "Retry", "RetryPolicy", "Service", "TaskEvent", "TooManyCalls"]

_HOMES = {
    "CallFailed": "backhaul.core.errors",
    "Context": "backhaul.worker.attempts.context",
    "Fail": "backhaul.core.signals",
    "Rejected": "backhaul.core.errors",
    "Retry": "backhaul.core.signals",
    "RetryPolicy": "backhaul.worker.kit.retry_policy",
    "Service": "backhaul.worker.kit.service",
    "TaskEvent": "backhaul.worker.kit.task_event",
    "TooManyCalls": "backhaul.core.errors",
}


def __getattr__(name: str) -> Any:
    """PEP 562: importing `backhaul` costs nothing until a name is used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'backhaul' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
