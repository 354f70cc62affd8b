"""The events of one task, gapless and in order, over as many connections as it takes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from pydantic import ValidationError

from backhaul.client import answers, log
from backhaul.client.connection import EVENT_STREAM, Connection, may_repeat
from backhaul.client.errors import ConnectionFailed, Refused, UnexpectedAnswer
from backhaul.client.sse import EventParser, Message
from backhaul_contracts.events import GAP, SNAPSHOT, TERMINAL_EVENTS, Event
from backhaul_contracts.problems import ProblemCode


class EventStream:
    """Follows a task's log from behind `after` (None: from now on, beginning with a `task.snapshot`) to its end.

    Each event comes once, in the order of `seq`. What a connection repeats is dropped; what it leaves out is read
    from the JSON log; when it breaks, the next one resumes with `Last-Event-ID`. If the gateway no longer keeps what
    lies behind the cursor, it says so by a `stream.gap`, which is passed on.
    """

    def __init__(self, connection: Connection, task_id: str, after: int | None) -> None:
        self._connection = connection
        self._task_id = task_id
        self._path = f"/v1/tasks/{task_id}/events"
        self._cursor = after
        self._patience = connection.patience()
        self._retry = timedelta(0)
        self._resuming = False
        self._at_end = False
        self._closed = False

    async def events(self) -> AsyncGenerator[Event]:
        """Ends when the task is done. Raises `Refused`, and `ConnectionFailed` when the patience is over."""
        while not self._closed:
            try:
                async with aclosing(self._connected()) as events:
                    async for event in events:
                        yield event
            except (ConnectionFailed, Refused) as failure:
                await self._bear(failure)

    async def _bear(self, failure: ConnectionFailed | Refused) -> None:
        """Wait before the next try. If there is to be none, raise the failure, unless the end of the task is told: then
        nobody is needed to say that it was the end."""
        try:
            if not may_repeat(failure, repeatable=True):
                raise failure
            await self._patience.pause(failure, self._retry)
        except (ConnectionFailed, Refused):
            if not self._at_end:
                raise
            self._closed = True

    async def _connected(self) -> AsyncGenerator[Event]:
        """What one connection brings. Returns if it ended as it should."""
        headers, params = self._position()
        begun_at = self._cursor
        async with self._connection.stream(self._path, headers=headers, params=params) as response:
            if response.status_code == 204:
                self._closed = True
                return
            if not response.headers.get("Content-Type", "").startswith(EVENT_STREAM):
                raise answers.unexpected(response, "no event stream")
            parser = EventParser()
            async for chunk in response.aiter_bytes():
                for message in parser.feed(chunk):
                    async for event in self._admitted(self._read(message)):
                        yield event
                self._retry = parser.retry or self._retry
                self._patience.heard()
        # A terminal event may also lie in the middle of the log, since a task can be retried: only 204 is the end.
        if not self._at_end or self._cursor == begun_at:
            raise self._broken("the stream broke off")

    def _position(self) -> tuple[dict[str, str], dict[str, int]]:
        if self._cursor is None:
            return {}, {}
        if self._resuming:
            return {"Last-Event-ID": str(self._cursor)}, {}
        return {}, {"after": self._cursor}

    async def _admitted(self, event: Event) -> AsyncGenerator[Event]:
        """What follows the cursor: nothing, the event, or first what is missing in front of it."""
        if self._cursor is None or event.type == GAP:
            yield self._taken(event)
            return
        before = event.seq if event.type == SNAPSHOT else event.seq - 1
        if before > self._cursor:
            async for missed in self._missed(before):
                yield missed
        if event.seq == before + 1 == self._cursor + 1:
            yield self._taken(event)

    async def _missed(self, through: int) -> AsyncGenerator[Event]:
        """The log from the cursor to `through`, or further."""
        while self._cursor is not None and self._cursor < through:
            events = await self._page(self._cursor)
            if not events or events[0].seq != self._cursor + 1:
                raise self._broken(f"event {self._cursor + 1} is missing")
            for event in events:
                yield self._taken(event)

    async def _page(self, after: int) -> list[Event]:
        try:
            return await log.page(self._connection, self._task_id, after)
        except Refused as refused:
            if refused.problem.code == ProblemCode.CURSOR_EXPIRED:  # the next stream begins with a stream.gap
                raise self._broken("the events behind the cursor are no longer kept") from refused
            raise

    def _read(self, message: Message) -> Event:
        try:
            return Event.model_validate_json(message.data)
        except ValidationError as error:
            raise UnexpectedAnswer(f"GET {self._path}", f"a {message.type} that is no event") from error

    def _taken(self, event: Event) -> Event:
        self._cursor = max(event.seq, self._cursor or 0)
        self._resuming = True
        self._at_end = event.type in TERMINAL_EVENTS or (event.type == SNAPSHOT and event.data.get("done") is True)
        self._patience.reset()
        return event

    def _broken(self, reason: str) -> ConnectionFailed:
        return ConnectionFailed(self._connection.url, reason, sent=True)
