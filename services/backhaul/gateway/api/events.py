"""`GET /v1/tasks/{id}/events`: a task's log, as a stream or as JSON."""

from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from backhaul.core.errors import Rejected
from backhaul.core.messages.announcements import event_json
from backhaul.core.task.record import Event, Record, Snapshot
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.conditions import EVENT_STREAM, JSON, choose
from backhaul.gateway.http.queries import LINKED_BY, Parameters, integer, invalid
from backhaul.gateway.http.replies import Empty, Header, Reply
from backhaul.gateway.http.request import Request, tenant_of
from backhaul.gateway.patience import answered
from backhaul.gateway.push.reading import Reading
from backhaul.gateway.push.stream import EventStream
from backhaul.gateway.push.topic import Watcher
from backhaul_contracts.ids import TaskId, is_task_id
from backhaul_contracts.problems import ProblemCode

_PARAMETERS = frozenset({"after", "limit", LINKED_BY})
_MOST_EVENTS = 1000
_CURSOR = integer(0)


class Events:
    """The endpoint of one task's events."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def read(self, request: Request) -> ASGIApp:
        form = choose(request.header(b"accept"), (EVENT_STREAM, JSON))
        if form is None:
            raise Rejected(ProblemCode.NOT_ACCEPTABLE, f"Events come as {EVENT_STREAM} or as {JSON}.")
        parameters = Parameters(request, _PARAMETERS)
        cursor = _cursor(request, parameters)
        limit = parameters.read("limit", integer(1, _MOST_EVENTS))
        tenant, task_id = tenant_of(request), request.path("task_id")
        if form == EVENT_STREAM:
            return self.stream(request, tenant, task_id, cursor)
        return await self._page(tenant, task_id, cursor or 0, 100 if limit is None else limit)

    def stream(
        self,
        request: Request,
        tenant: str,
        task_id: str,
        cursor: int | None,
        headers: Iterable[Header] = (),
        known: Snapshot | None = None,
    ) -> ASGIApp:
        """The event stream of a task from behind `cursor` (None: from a snapshot). It raises only before it begins.

        `known`: the task as the caller has just read it; what has happened since is in the log behind its `seq`.
        """

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            if not is_task_id(task_id):
                raise self._gateway.lookup.missing(task_id)
            with self._gateway.limits.streaming(request.identity), self._gateway.feed.watch(TaskId(task_id)) as watcher:
                # No name for the snapshot: this block may last for hours, and needs it only to begin.
                read = self._gateway.lookup.task
                answer = self._opened(request, watcher, known or await read(tenant, task_id), cursor, headers)
                await answer(scope, receive, send)

        return respond

    def _opened(
        self, request: Request, watcher: Watcher, snapshot: Snapshot, cursor: int | None, headers: Iterable[Header]
    ) -> ASGIApp:
        record = snapshot.record
        check_cursor(cursor, record.seq)
        if cursor == record.seq and record.status.done:
            return Empty(204)
        gateway = self._gateway
        parts = (gateway.feed, gateway.store, gateway.clock)
        reading = Reading(*parts, watcher, snapshot, cursor, gateway.links, request.identity)
        return EventStream(gateway.feed, watcher, reading, request, headers)

    async def _page(self, tenant: str, task_id: str, after: int, limit: int) -> Reply:
        snapshot = await self._gateway.lookup.task(tenant, task_id)
        record = snapshot.record
        check_cursor(after, record.seq)
        events = await answered(self._gateway.store.events(record.id, after, limit))
        if events[0].seq > after + 1 if events else after < record.seq:
            detail = f"Events up to {record.seq if not events else events[0].seq - 1} are no longer kept."
            raise Rejected(ProblemCode.CURSOR_EXPIRED, detail, task_id=record.id)
        next_after = events[-1].seq if events else after
        done = _done(record, events, next_after)
        data = ",".join(event_json(event) for event in events)
        body = f'{{"data":[{data}],"next_after":{next_after},"done":{"true" if done else "false"}}}'
        return Reply(200, body.encode(), [(b"cache-control", b"no-store")])


def _done(record: Record, events: Sequence[Event], next_after: int) -> bool:
    """Whether nothing follows. The task may have moved on since `record` was read: then the last event tells."""
    if next_after > record.seq:
        return events[-1].type.terminal
    return record.status.done and next_after == record.seq


def _cursor(request: Request, parameters: Parameters) -> int | None:
    after = parameters.read("after", _CURSOR)
    last_seen = request.header(b"last-event-id")
    if not last_seen:
        return after
    try:
        return _CURSOR(last_seen)
    except ValueError as error:
        raise invalid("Last-Event-ID", str(error)) from error


def check_cursor(cursor: int | None, seq: int) -> None:
    if cursor is not None and cursor > seq:
        raise invalid("after", f"The cursor {cursor} lies behind the end of the log: the last event is {seq}.")
