"""What a client may say about a task beside its kind and input."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict

Length = timedelta | float | str
"""A length of time: a `timedelta`, seconds, or a text such as `"30s"`, `"10m"`, `"2h"`."""


class WebhookOptions(TypedDict, total=False):
    """Where the events of a task are sent. The receiver finds them signed (Standard Webhooks)."""

    url: Required[str]
    events: Sequence[str]
    """Default: how it ends, `task.succeeded`, `task.failed`, `task.cancelled` and `task.expired`."""
    secret: str
    """`whsec_…`. Default: the secret of the tenant."""


class SubmitOptions(TypedDict, total=False):
    """The optional fields of `POST /v1/tasks`; the gateway checks them."""

    queue: str
    """Default: the queue of the kind."""
    priority: int
    """-100 … 100; higher is started first. Default 0."""
    run_at: datetime | str
    """Not before this moment (with a time zone)."""
    delay: Length
    """Not before so long from now."""
    expires_in: Length
    """Expire if no worker has started it by then."""
    timeout: Length
    """The longest an attempt may take. Default: that of the kind."""
    max_attempts: int
    """How many failures end the task. Default: that of the kind."""
    metadata: Mapping[str, str]
    """Labels to find it by."""
    parent_id: str
    """The task it belongs to."""
    webhook: WebhookOptions
    """Where its end, or other events of it, are sent."""


def body(kind: str, input: object, key: str | None, options: SubmitOptions) -> dict[str, Any]:
    """The body of `POST /v1/tasks`."""
    given = {name: plain(option) for name, option in options.items() if option is not None}
    return {"kind": kind, "input": input, **({"key": key} if key is not None else {}), **given}


def plain(option: object) -> object:
    """An option as JSON can say it: lengths of time in seconds."""
    return option.total_seconds() if isinstance(option, timedelta) else option
