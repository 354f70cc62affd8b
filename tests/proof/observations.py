"""What clients, workers, the one who injects faults, and the record itself let us see: one frozen record each.

Moments are aware datetimes: simulated time, or the wall clock of the one machine that everything runs on. `client`,
`worker`, `gateway` and `view` are any names, used the same way throughout one history. A hash is any digest, as long as
equal values have equal ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from backhaul_contracts.failures import FailureCode
from backhaul_contracts.tasks import Status

LOST = frozenset({str(FailureCode.LOST), str(FailureCode.DEAD_LETTERED)})
"""The codes of failures that tell of a worker that was lost."""


class Answer(StrEnum):
    """What a client knows of its request. Time-outs, lost connections and 503s are *unknown*: it may have happened."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class End(StrEnum):
    """How a watch ended: closed by the server, broken (network, server's death), nothing to come (204), or left by
    the client, which then claims nothing about how the task went on."""

    CLOSED = "closed"
    BROKEN = "broken"
    EMPTY = "empty"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which terms the history was made; the last one counts. `skew`: by how much two clocks of the history may
    disagree; `reaction`: how long a worker may take, once it runs again after a pause, to stop what it must stop."""

    lease: timedelta = timedelta(seconds=20)
    skew: timedelta = timedelta(0)
    reaction: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A client asked for a task (over HTTP or the broker). Once a request, with what came of it.

    ACCEPTED: `task_id`, and `status` and `seq` as the answer showed them, `replayed` if it said so; without `task_id`:
    the broker has confirmed a direct publish. REFUSED: `code`, that of the problem.
    """

    client: str
    kind: str
    at: datetime
    answer: Answer
    key: str | None = None
    tenant: str = "default"
    task_id: str | None = None
    status: Status | None = None
    seq: int | None = None
    code: str | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded:
    """A client commanded `cancel`, `retry` or `delete`. ACCEPTED (2xx): `status` and `seq` as in the answer."""

    client: str
    command: str
    task_id: str
    at: datetime
    answer: Answer
    status: Status | None = None
    seq: int | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOpened:
    """A connection (or one page of the JSON log) through which a client watches.

    Connections of one `view` continue each other: the client reconnects, over any transport and to any gateway, behind
    the last event it saw. `after` is the cursor it gave (None: none). `task_id` None: a stream of many tasks.
    """

    watch: str
    view: str
    client: str
    task_id: str | None
    transport: str
    gateway: str
    at: datetime
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSeen:
    """Something came through a watch, in this order. `type` may be `task.snapshot` or `stream.gap`: then `status` is
    that of the task shown. `digest`: hash of the event's data, compared with the log's if both are known.
    `result_hash`: if a result was shown."""

    watch: str
    task_id: str
    seq: int
    type: str
    at: datetime
    attempt: int | None = None
    status: Status | None = None
    digest: str | None = None
    result_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEnded:
    watch: str
    end: End
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """A client read the task or its result, in whatever way. `seq` None (a bare result): the task's last run."""

    client: str
    task_id: str
    at: datetime
    status: Status
    seq: int | None = None
    attempt: int | None = None
    result_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantSeen:
    """A worker was granted an attempt. `token`: the lease's, or any stand-in that differs when it does."""

    worker: str
    task_id: str
    attempt: int
    token: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerStarted:
    """First thing the handler's code did, as written by itself. `worker`: the worker id that the log names, too."""

    worker: str
    task_id: str
    attempt: int
    at: datetime
    exclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerEnded:
    """Last thing the handler's code did. `how`: `returned`, `raised` or `cancelled`. A killed one writes none."""

    worker: str
    task_id: str
    attempt: int
    at: datetime
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`target` was harmed. Kinds `kill` and `pause` of a worker (under the name its handlers use) mean something to the
    checker: from then on its code did not run. All others are for the reader."""

    kind: str
    target: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Heal:
    """`target` was made well again: resumed, started anew, connected."""

    kind: str
    target: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalTask:
    """A task's record at the end. `held_by`: the worker that holds an attempt, if any. `origin`: the task that it is a
    child or a replay of; such a task need not have been submitted by a client. `failures` of the last run."""

    task_id: str
    kind: str
    queue: str
    status: Status
    attempt: int
    seq: int
    tenant: str = "default"
    key: str | None = None
    failures: int = 0
    max_attempts: int | None = None
    result_hash: str | None = None
    held_by: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An entry of a task's log at the end; all entries of a task in order.

    `worker`: of `task.started`. `due`: when a scheduled or retrying task may be queued. `digest`: hash of its data.
    `numbers`: what the handler itself counted in this event, from 1 in each attempt, if it does count what it says.
    `said_by`: the attempt that the handler itself names in what it says, if it does. `lost`: it tells that the
    attempt was lost with its worker.
    """

    task_id: str
    seq: int
    attempt: int
    type: str
    at: datetime
    worker: str | None = None
    due: datetime | None = None
    digest: str | None = None
    numbers: tuple[int, ...] = ()
    said_by: int | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """From now on `receiver` is to be told of these events: of one task, by its own webhook, or (`task_id` None) of all
    tasks, as a registered endpoint. It was acknowledged at `at`."""

    receiver: str
    events: tuple[str, ...]
    at: datetime
    task_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookCame:
    """A webhook reached its receiver, once a try. `delivery`: its id; `type`, `task_id` and `of`: which event it tells
    of, and when that happened. `signed`: by the secret of the receiver, just now. `body`: a digest of its bytes.
    `taken`: the receiver took it, whether or not the notifier heard of that."""

    receiver: str
    delivery: str
    task_id: str
    type: str
    of: datetime
    at: datetime
    signed: bool
    body: str
    taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainAsked:
    """An operator asked a worker to drain, by way of a gateway. UNKNOWN: it may have been heard or not."""

    worker: str
    at: datetime
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLeft:
    """A worker's process ended by itself, as it does when it has drained."""

    worker: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What was left when all was done: rows of the outbox, held leases, and messages (ready or not) in each queue."""

    outbox: int
    leases: int
    queues: Mapping[str, int] = field(default_factory=dict)


Observation = (
    Terms
    | Submitted
    | Commanded
    | WatchOpened
    | EventSeen
    | WatchEnded
    | TaskSeen
    | GrantSeen
    | HandlerStarted
    | HandlerEnded
    | Fault
    | Heal
    | FinalTask
    | LoggedEvent
    | Subscribed
    | WebhookCame
    | DrainAsked
    | WorkerLeft
    | Remains
)
