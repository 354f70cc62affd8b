"""The reports of one attempt: numbered from 1 without holes, kept until they are recorded."""

import asyncio
from collections import deque
from collections.abc import Callable

from backhaul.core.messages import topology
from backhaul.worker.reporting.kept import Kept, Weight
from backhaul_contracts import codec

MOST_KEPT = 128
"""How many reports of one attempt may wait to be recorded before its handler has to wait."""

MOST_KEPT_BYTES = 256 * 1024
_LONGEST_TEXT = 32 * 1024


class Reports:
    """What one attempt has to say, in order.

    `on_unsent` is called with this object whenever there is something to send; `hold` puts that off a little for text.
    """

    __slots__ = (
        "_hold", "_kept", "_last", "_on_unsent", "_room", "_sent", "_weight", "bytes", "closed", "gap_at", "head",
        "hold_until", "key", "probing", "recorded", "refused", "shard",
    )  # fmt: skip

    def __init__(
        self,
        task_id: str,
        attempt: int,
        token: str,
        weight: Weight,
        on_unsent: Callable[["Reports"], None],
        hold: Callable[["Reports"], bool],
    ) -> None:
        self.key = (task_id, attempt)
        self.head = b'"task_id":%b,"attempt":%d,"token":%b,"number":' % (
            codec.dumps(task_id),
            attempt,
            codec.dumps(token),
        )
        self.shard = str(topology.shard(task_id))
        self.bytes = 0
        self.closed = False
        """Whether the outcome is among them: nothing can follow it."""
        self.refused = False
        """Whether an outcome of the worker's own making stands for a report that was refused."""
        self.recorded = 0
        """The last number that is known to be recorded."""
        self.gap_at: float | None = None
        self.probing = False
        """Whether to send one report at a time: what is behind a gap that stays may hide why it does."""
        self.hold_until = 0.0
        self._weight = weight
        self._kept: deque[Kept] = deque()
        self._last = 0
        self._sent = 0
        self._room: list[asyncio.Future[None]] = []
        self._on_unsent = on_unsent
        self._hold = hold

    @property
    def empty(self) -> bool:
        """Whether everything is recorded."""
        return not self._kept

    @property
    def full(self) -> bool:
        """Whether the attempt has to wait before it adds more."""
        return len(self._kept) >= MOST_KEPT or self.bytes >= MOST_KEPT_BYTES

    @property
    def unanswered(self) -> bool:
        """Whether something was sent that is not recorded."""
        return bool(self._kept) and self._kept[0].number <= self._sent

    def add(self, body: bytes) -> None:
        """Say something. After the outcome nothing more is said."""
        if not self.closed:
            self._append(Kept(self._last + 1, body, len(body)))
            self._on_unsent(self)

    def add_text(self, text: str) -> None:
        """Say a piece of text, joined to the one before it if that is not on its way yet."""
        if self.closed:
            return
        last = self._kept[-1] if self._kept else None
        if last is None or last.body is not None or last.size > _LONGEST_TEXT:
            alone = last is None or last.number <= self._sent
            last = Kept(self._last + 1, None, 0)
            self._append(last)
            if not (alone and self._hold(self)):
                self._on_unsent(self)
        last.parts.append(text)
        last.size += len(text)
        self._weigh(len(text))

    def save(self, body: bytes) -> asyncio.Future[None]:
        """Say something that matters: done when it is recorded, cancelled if it never will be."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.closed:
            future.cancel()
            return future
        self.add(body)
        self._kept[-1].recorded = future
        return future

    def close(self, outcome: bytes) -> None:
        """Say how the attempt ended. Only the first outcome counts."""
        self.add(outcome)
        self.closed = True

    async def room(self) -> None:
        """Return when there is room for another report; at once if nothing will be sent any more."""
        while self.full and not self.closed:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(future)
            await future

    def next_unsent(self) -> Kept | None:
        """The first report that is not on its way; from now on it is."""
        index = max(0, self._sent + 1 - self._kept[0].number) if self._kept else 0
        if index >= len(self._kept) or (self.probing and index):
            return None
        kept = self._kept[index]
        self._sent = kept.number
        return kept

    def record(self, number: int) -> None:
        """Everything up to `number` is recorded."""
        while self._kept and self._kept[0].number <= number:
            self._let_go(self._kept.popleft(), recorded=True)
        self.recorded = max(self.recorded, number)
        self._make_room()

    def rewind(self, number: int) -> None:
        """Send everything behind `number` again."""
        self._sent = min(self._sent, number)
        if self._kept:
            self._on_unsent(self)

    def refuse(self, number: int, outcome: bytes) -> None:
        """The report behind `number` can never be recorded: nothing from there on is said, but this outcome."""
        self.drop()
        self.closed = self.probing = False
        self.refused = True
        self._last = self._sent = number
        self.close(outcome)

    def drop(self) -> None:
        """Nothing of this will ever be recorded."""
        self.closed = True
        while self._kept:
            self._let_go(self._kept.popleft(), recorded=False)
        self._make_room()

    def _append(self, kept: Kept) -> None:
        self._last = kept.number
        self._kept.append(kept)
        self._weigh(kept.size)

    def _weigh(self, size: int) -> None:
        self.bytes += size
        self._weight.bytes += size

    def _let_go(self, kept: Kept, *, recorded: bool) -> None:
        self._weigh(-kept.size)
        if kept.recorded is None or kept.recorded.done():
            return
        if recorded:
            kept.recorded.set_result(None)
        else:
            kept.recorded.cancel()

    def _make_room(self) -> None:
        if self._room and not self.full:
            waiting, self._room = self._room, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
