"""Which tasks a client asks for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict


class Filters(TypedDict, total=False):
    """What the listed tasks have in common; None leaves it open."""

    status: str | Sequence[str] | None
    """One status, or any of several."""
    kind: str | None
    queue: str | None
    key: str | None
    parent_id: str | None
    created_after: datetime | str | None
    created_before: datetime | str | None
    metadata: Mapping[str, str] | None
    """Labels that the tasks carry, each with this value."""


class Choices(TypedDict, total=False):
    """Which events of many tasks are told; None leaves it open."""

    type: str | Sequence[str] | None
    """One type of event, such as `task.failed`, or any of several."""
    status: str | Sequence[str] | None
    """The status of the task right after the event: one, or any of several."""
    kind: str | None
    queue: str | None
    key: str | None
    parent_id: str | None
    metadata: Mapping[str, str] | None
    """Labels that the tasks carry, each with this value."""


def params(filters: Filters | Choices) -> dict[str, Any]:
    """The query of `GET /v1/tasks`, or of `GET /v1/events`."""
    metadata = filters.get("metadata") or {}
    named = {name: _text(value) for name, value in filters.items() if name != "metadata" and value is not None}
    return {**named, **{f"metadata.{name}": value for name, value in metadata.items()}}


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
