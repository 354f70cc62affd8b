"""What a client says on the WebSocket `/v1/ws`: one JSON object a message, told apart by `op`.

`ref` is the client's own mark: the answer carries it. Besides answers (`ack`, `pong`, `error`) the server sends event
objects, which have no `op`.
"""

from typing import Annotated

from pydantic import Field

from backhaul_contracts.submissions import CancelTask
from backhaul_contracts.wire import Strict, Text

SUBPROTOCOL = "backhaul.v1"

Ref = Annotated[str, Field(max_length=255)] | Annotated[int, Field(strict=True)]


class Marked(Strict):
    """What everything that a client says may have."""

    ref: Ref | None = None


class Subscribe(Marked):
    """Follow a task from behind `after` (0: everything), or from a snapshot on."""

    task_id: Text
    after: int | None = Field(default=None, ge=0, strict=True)


class Unsubscribe(Marked):
    """Follow a task no more. Nothing happens to the task."""

    task_id: Text


class AskCancel(Marked, CancelTask):
    """Cancel a task; the fields beside `task_id` are those of the HTTP call."""

    task_id: Text


class Ping(Marked):
    """Ask for a sign of life."""
