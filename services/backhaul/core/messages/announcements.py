"""What is told to the world after a commit: tokens, live events and public events, as broker messages. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from backhaul.core.messages import topology
from backhaul.core.messages.replies import read
from backhaul.core.ports.broker import Message
from backhaul.core.ports.dispatch import Happening, Token
from backhaul.core.rendering import json_name, json_text, task_json
from backhaul.core.task.record import Event, Record, Snapshot
from backhaul_contracts import codec
from backhaul_contracts.beats import Stop, StopReason
from backhaul_contracts.envelope import CLOUDEVENT, CLOUDEVENT_BATCH, TYPE_PREFIX
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import TaskId, new_id
from backhaul_contracts.messages import StopAsked, write_batch
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import format_time

STATUS_AFTER = {
    EventType.SCHEDULED: Status.SCHEDULED,
    EventType.QUEUED: Status.QUEUED,
    EventType.STARTED: Status.RUNNING,
    EventType.WAITING: Status.WAITING,
    EventType.RETRYING: Status.RETRYING,
    EventType.CANCELLING: Status.CANCELLING,
    EventType.SUCCEEDED: Status.SUCCEEDED,
    EventType.FAILED: Status.FAILED,
    EventType.CANCELLED: Status.CANCELLED,
    EventType.EXPIRED: Status.EXPIRED,
}


def token_message(token: Token) -> Message:
    """The invitation to claim from the token's queue. It expires with nothing: a token is dropped by whoever claims."""
    body = (
        f'{{"specversion":"1.0","id":"{token.task_id}","source":"/backhaul/relay",'
        f'"type":"dev.backhaul.task.token","subject":"{token.task_id}"}}'
    )
    return Message(
        exchange=topology.TASKS,
        routing_key=token.queue,
        body=body.encode(),
        content_type=CLOUDEVENT,
        message_id=token.task_id,
    )


def spare_tokens(queue: str, waiting: int) -> list[Message]:
    """Tokens for tasks that wait and may have none. Surplus tokens do no harm: who claims on one gets `empty`."""
    return [token_message(Token(queue, TaskId("")))] * waiting


def event_json(event: Event) -> str:
    """The event object as every transport shows it."""
    return (
        f'{{"task_id":"{event.task_id}","seq":{event.seq},"attempt":{event.attempt},"type":"{event.type}",'
        f'"time":"{format_time(event.time)}","data":{event.data}}}'
    )


def live_message(events: Sequence[Event], message_id: str | None = None) -> Message:
    """Committed events for every gateway that watches one of their shards. May be lost: a jump in `seq` shows it.

    `message_id` is `<sender>-<number>`, numbered by the sender without holes: so who follows many tasks, and knows the
    `seq` of none of them, notices what is lost.
    """
    message_id = message_id or new_id("msg")
    first, *others = sorted({str(topology.shard(event.task_id)) for event in events})
    joined = ",".join(event_json(event) for event in events)
    body = (
        f'{{"specversion":"1.0","id":"{message_id}","source":"/backhaul/live","type":"dev.backhaul.live",'
        f'"data":{{"events":[{joined}]}}}}'
    )
    return Message(
        exchange=topology.LIVE,
        routing_key=first,
        copies_to=tuple(others),
        body=body.encode(),
        content_type=CLOUDEVENT,
        message_id=message_id,
        persistent=False,
        mandatory=False,
    )


def public_messages(happenings: Iterable[Happening]) -> list[Message]:
    """The lifecycle events among `happenings`, one CloudEvent each; a repeat carries the same id."""
    return [_public(happening.record, happening.event) for happening in happenings if happening.event.type.public]


def reply_messages(snapshot: Snapshot) -> Iterator[Message]:
    """The end of a task that is done, for everyone who has asked to be told. Their queues may be gone by now."""
    record = snapshot.record
    body = (
        f'{{"specversion":"1.0","id":"{record.id}-{record.seq}","source":"/backhaul/ledger",'
        f'"type":"{TYPE_PREFIX}task.{record.status}","subject":"{record.id}",'
        f'"time":"{format_time(record.finished_at or record.created_at)}","datacontenttype":"application/json",'
        f'{_trace(record)}"data":{task_json(snapshot)}}}'
    ).encode()
    for reply in read(record.replies):
        yield Message(
            exchange="",
            routing_key=reply.queue,
            body=body,
            content_type=CLOUDEVENT,
            message_id=f"{record.id}-{record.seq}",
            correlation_id=reply.correlation_id,
            mandatory=False,
        )


def stop_messages(happenings: Iterable[Happening]) -> list[Message]:
    """Hints to the workers whose attempts are to stop. What is lost of them, the next beat repairs."""
    stops: dict[str, list[Stop]] = {}
    for record in (each.record for each in happenings if each.event.type is EventType.CANCELLING):
        stop = Stop(task_id=record.id, attempt=record.attempt, reason=StopReason.CANCELLED)
        stops.setdefault(str(record.worker_id), []).append(stop)
    return [
        Message(
            exchange=topology.CONTROL,
            routing_key=worker_id,
            body=write_batch("/backhaul/relay", StopAsked, asked),
            content_type=CLOUDEVENT_BATCH,
            persistent=False,
            mandatory=False,
        )
        for worker_id, asked in stops.items()
    ]


def _public(record: Record, event: Event) -> Message:
    body = (
        f'{{"specversion":"1.0","id":"{event.task_id}-{event.seq}","source":"/backhaul/ledger",'
        f'"type":"{TYPE_PREFIX}{event.type}","subject":"{event.task_id}","time":"{format_time(event.time)}",'
        f'"datacontenttype":"application/json",{_trace(record)}"sequence":"{event.seq:010d}",'
        f'"correlationid":"{event.task_id}","causationid":"{_cause(event)}","tenantid":{json_name(record.tenant)},'
        f'"data":{_public_data(record, event)}}}'
    )
    return Message(
        exchange=topology.EVENTS,
        routing_key=f"task.{record.kind}.{event.type.removeprefix('task.')}",
        body=body.encode(),
        content_type=CLOUDEVENT,
        message_id=f"{event.task_id}-{event.seq}",
        mandatory=False,
    )


def _public_data(record: Record, event: Event) -> str:
    outcome = f",{_outcome(event)}" if event.type.terminal else ""
    return (
        f'{{"task_id":"{event.task_id}","kind":{json_name(record.kind)},"seq":{event.seq},"attempt":{event.attempt},'
        f'"status":"{_status(record, event)}"{outcome},"key":{json_text(record.key)},"metadata":{record.metadata},'
        f'"parent_id":{json_text(record.parent_id)}}}'
    )


def _outcome(event: Event) -> str:
    """Result or error as a member, null if it was cancelled; what else the event says is for who follows the output."""
    if event.type is EventType.SUCCEEDED:
        return event.data[1:-1]
    return f'"error":{codec.dumps(codec.loads(event.data).get("error")).decode()}'


def _status(record: Record, event: Event) -> Status:
    """The status right after the event, whatever has come since: a repeat must say the same."""
    if event.type is EventType.ACCEPTED:
        return Status.QUEUED if record.scheduled_for is None else Status.SCHEDULED
    return STATUS_AFTER[event.type]


def _cause(event: Event) -> str:
    return event.task_id if event.seq == 1 else f"{event.task_id}-{event.seq - 1}"


def _trace(record: Record) -> str:
    return f'"traceparent":{json_text(record.traceparent)},' if record.traceparent else ""
