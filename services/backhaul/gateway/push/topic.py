"""What is known here of one watched task: its newest events, and who waits for the next one."""

import asyncio
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from backhaul_contracts.events import TERMINAL_EVENTS
from backhaul_contracts.ids import TaskId

_MOST_FRAMES = 256
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """One event, rendered once for all who watch: `body` is the event object, `sse` the same as a stream shows it."""

    seq: int
    body: bytes
    sse: bytes
    terminal: bool


def frame(seq: int, type: str, body: bytes) -> Frame:
    """`body` is the event object as JSON, which has no line breaks."""
    sse = b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, type.encode(), body)
    return Frame(seq, body, sse, type in TERMINAL_EVENTS)


class Topic:
    """A watched task: a bounded buffer of its newest events, without holes, and its watchers.

    `seq` is that of the newest event published or learned of, 0 as long as nothing is known.
    """

    def __init__(self, task_id: TaskId) -> None:
        self.task_id = task_id
        self.seq = 0
        self._opened: int | None = None
        """Where the store was when it was first asked: what it had then is read, what follows is pushed."""
        self.ended = False
        """Whether the newest event is a terminal one."""
        self.vanished = False
        """Whether the store no longer has the task."""
        self.watchers: set[Watcher] = set()
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def publish(self, item: Frame) -> bool:
        """Add the next event and wake who waits. False if events before it are missing: then it is not added."""
        if item.seq <= self.seq:
            return True
        if self.seq and item.seq != self.seq + 1:
            return False
        self.seq = item.seq
        self.ended = item.terminal
        self._keep(item)
        self.wake()
        return True

    def awaits(self, seq: int) -> bool:
        """Whether the watchers are waiting for this event: nobody has read it, and it has not been published."""
        return self._opened is not None and seq > max(self.seq, self._opened)

    def learn(self, seq: int, *, ended: bool) -> bool:
        """Note that the store is at `seq`. False if events up to there have yet to be published."""
        if self._opened is None:
            self._opened = seq
        if self.seq == 0:
            self.seq, self.ended = seq, ended
        return seq <= self.seq

    def vanish(self) -> None:
        self.vanished = True
        self.wake()

    def after(self, cursor: int) -> list[Frame] | None:
        """The events behind `cursor`, [] if there are none yet. None: the buffer does not reach back so far."""
        if cursor >= self.seq:
            return []
        if not self._frames or self._frames[0].seq > cursor + 1:
            return None
        return list(islice(self._frames, cursor + 1 - self._frames[0].seq, None))

    def wake(self) -> None:
        for watcher in self.watchers:
            watcher.wake()

    def _keep(self, item: Frame) -> None:
        self._frames.append(item)
        self._bytes += len(item.sse)
        while len(self._frames) > _MOST_FRAMES or (self._bytes > _MOST_BYTES and len(self._frames) > 1):
            self._bytes -= len(self._frames.popleft().sse)


class Bell:
    """What wakes one who waits for news: an event with one waiter, which costs ten thousand of them less."""

    __slots__ = ("_rung", "_waiter", "left")

    def __init__(self) -> None:
        self.left = False
        """Whether the client has gone."""
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def leave(self) -> None:
        self.left = True
        self.wake()

    async def woken(self) -> None:
        """Return at the first wake since the last return, at once if it was already. One may wait at a time."""
        if not self._rung:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._rung = False


class Watcher(Bell):
    """One who follows a topic. It is woken by news, by every pulse of the feed, and by the end."""

    __slots__ = ("topic",)

    transport: ClassVar[str] = "sse"

    def __init__(self, topic: Topic) -> None:
        super().__init__()
        self.topic = topic
