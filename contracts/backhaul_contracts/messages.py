"""Every message that crosses the broker, as a typed CloudEvent, and how batches of them are written and read.

Between our own processes a message is a batch (`application/cloudevents-batch+json`, a JSON array). What the outside
publishes or hears is one CloudEvent a message.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, TypeAdapter

from backhaul_contracts import codec
from backhaul_contracts.beats import Beat, BeatAnswer, Stop
from backhaul_contracts.claims import Claim, ClaimAnswer
from backhaul_contracts.envelope import CloudEvent
from backhaul_contracts.events import Event, PublicEvent
from backhaul_contracts.ids import new_id
from backhaul_contracts.problems import Problem
from backhaul_contracts.reports import Lapse, Recorded, Report
from backhaul_contracts.submissions import SubmitTask
from backhaul_contracts.tasks import Task
from backhaul_contracts.wire import Wire


class Submitted(CloudEvent):
    """A task from a direct publisher, in the full form.

    A worker adds which attempt at the parent asks (`parentattempt`, `parenttoken`): what asks when its attempt is over
    gets no answer. `awaited`: it calls, so a child that has ended without success before this attempt is run anew.
    """

    type: Literal["dev.backhaul.task.submit"] = "dev.backhaul.task.submit"
    parentattempt: int | None = Field(default=None, ge=1)
    parenttoken: str | None = None
    awaited: bool = False
    data: SubmitTask


class AcceptedReply(CloudEvent):
    type: Literal["dev.backhaul.task.accepted"] = "dev.backhaul.task.accepted"
    data: Task


class RejectedReply(CloudEvent):
    type: Literal["dev.backhaul.task.rejected"] = "dev.backhaul.task.rejected"
    data: Problem


class EndedReply(CloudEvent):
    """The end of a task, for whoever submitted it with `reply_to`: at least once, a repeat under the same `id`."""

    type: Literal[
        "dev.backhaul.task.succeeded",
        "dev.backhaul.task.failed",
        "dev.backhaul.task.cancelled",
        "dev.backhaul.task.expired",
    ]
    data: Task


class TokenIssued(CloudEvent):
    """An invitation to claim; `subject` is a task that waits, as a hint only."""

    type: Literal["dev.backhaul.task.token"] = "dev.backhaul.task.token"


class Claimed(CloudEvent):
    type: Literal["dev.backhaul.worker.claim"] = "dev.backhaul.worker.claim"
    data: Claim


class ClaimAnswered(CloudEvent):
    type: Literal["dev.backhaul.ledger.grants"] = "dev.backhaul.ledger.grants"
    data: ClaimAnswer


class Beaten(CloudEvent):
    type: Literal["dev.backhaul.worker.beat"] = "dev.backhaul.worker.beat"
    data: Beat


class BeatAnswered(CloudEvent):
    type: Literal["dev.backhaul.ledger.leases"] = "dev.backhaul.ledger.leases"
    data: BeatAnswer


class Reported(CloudEvent):
    type: Literal["dev.backhaul.worker.report"] = "dev.backhaul.worker.report"
    data: Report


class Lapsed(CloudEvent):
    type: Literal["dev.backhaul.ledger.lapse"] = "dev.backhaul.ledger.lapse"
    data: Lapse


class ReportAnswered(CloudEvent):
    type: Literal["dev.backhaul.ledger.recorded"] = "dev.backhaul.ledger.recorded"
    data: Recorded


class StopAsked(CloudEvent):
    type: Literal["dev.backhaul.task.stop"] = "dev.backhaul.task.stop"
    data: Stop


class LiveEvents(Wire):
    events: list[Event]


class Live(CloudEvent):
    """Committed events on their way to the gateways: one envelope for a whole batch, since it is the busiest path."""

    type: Literal["dev.backhaul.live"] = "dev.backhaul.live"
    data: LiveEvents


class Published(CloudEvent):
    """A lifecycle event on `backhaul.events`; `type` is `dev.backhaul.task.<event>`."""

    data: PublicEvent


ShardMessage = Annotated[Reported | Lapsed, Field(discriminator="type")]
"""What the queues `backhaul.ledger.<n>` carry."""

WorkerMessage = Annotated[ClaimAnswered | BeatAnswered | ReportAnswered, Field(discriminator="type")]
"""What a worker hears on `backhaul.replies`."""

M = TypeVar("M")


class Batch(Generic[M]):
    """Reads batches of one family of messages. Raises `ValueError` for what is not one."""

    def __init__(self, family: object) -> None:
        self._adapter: TypeAdapter[list[M]] = TypeAdapter(list[family])  # type: ignore[valid-type]

    def read(self, body: bytes) -> list[M]:
        return self._adapter.validate_json(body)

    def salvage(self, body: bytes) -> tuple[list[M], ValueError | None]:
        """The messages that can be read, and what is wrong with the first that cannot. Never raises.

        One message that is broken, or newer than its reader, must not take its neighbours down.
        """
        try:
            return self.read(body), None
        except ValueError as error:
            fault = error
        try:
            items = codec.loads(body)
        except ValueError:
            return [], fault
        readable: list[M] = []
        for item in items if isinstance(items, list) else []:
            with suppress(ValueError):
                readable += self.read(codec.dumps([item]))
        return readable, fault


CLAIMS: Batch[Claimed] = Batch(Claimed)
BEATS: Batch[Beaten] = Batch(Beaten)
SHARD: Batch[Reported | Lapsed] = Batch(ShardMessage)
REPLIES: Batch[ClaimAnswered | BeatAnswered | ReportAnswered] = Batch(WorkerMessage)
CONTROL: Batch[StopAsked] = Batch(StopAsked)


def write_batch(source: str, type: type[CloudEvent], items: Iterable[BaseModel | str]) -> bytes:
    """The items, each as `data` of a CloudEvent of `type`, as one batch. `source` is a URI path of our own making.

    An item that is a text already is the JSON of a model.
    """
    name = type.model_fields["type"].default
    batch = new_id("msg")
    head = f'{{"specversion":"1.0","source":"{source}","type":"{name}","id":"{batch}-'
    texts = [item if isinstance(item, str) else item.model_dump_json() for item in items]
    events = [f'{head}{n}","data":{text}}}' for n, text in enumerate(texts)]
    return f"[{','.join(events)}]".encode()
