"""Natural batching: what arrives while a flush is under way forms the next one. No timer: idle answers at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from backhaul.core.errors import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Joins many callers into few calls of `flush`, in order of arrival, at most `limit` items a call.

    `flush` answers one result for each item, in order. If it raises `StoreUnavailable`, every caller of that batch gets
    the error; after any other each item is flushed by itself, so that one bad item fails nobody but its own caller.
    `run` must be running (in its owner's task group) for `submit` to return.
    """

    def __init__(self, flush: Callable[[list[T]], Awaitable[Sequence[R]]], *, limit: int) -> None:
        self._flush = flush
        self._limit = limit
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        """How many items wait for the next flush."""
        return len(self._waiting)

    async def submit(self, item: T) -> R:
        """The result of `item`. A caller that is cancelled abandons the result; the item may still be flushed."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Flush until cancelled. What waits at that moment is cancelled with it."""
        try:
            while True:
                await self._arrived.wait()
                await self._flush_once()
        finally:
            for _, future in self._waiting:
                future.cancel()

    async def _flush_once(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._limit, len(self._waiting)))]
        if not self._waiting:
            self._arrived.clear()
        batch = [(item, future) for item, future in batch if not future.done()]
        try:
            if batch:
                await self._answer(batch)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise

    async def _answer(self, batch: "Sequence[tuple[T, asyncio.Future[R]]]") -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - its caller gets it
            if len(batch) > 1 and not isinstance(error, StoreUnavailable):
                for item, future in batch:
                    if not future.done():  # its caller may have left meanwhile
                        await self._answer([(item, future)])
                return
            for _, future in batch:
                _fail(future, error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(future: "asyncio.Future[R]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Inbox(Generic[T]):
    """A queue that is emptied by the handful: `take` waits for the first item, then returns all there is."""

    def __init__(self, limit: int) -> None:
        self._items: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        self._items.append(item)
        self._arrived.set()

    def clear(self) -> None:
        """Forget what waits (its deliveries have become void)."""
        self._items.clear()
        self._arrived.clear()

    async def take(self) -> list[T]:
        """At least one item, at most the limit, in order."""
        while not self._items:
            self._arrived.clear()
            await self._arrived.wait()
        return self.drain()

    def drain(self) -> list[T]:
        """What there is now, at most the limit, in order; perhaps nothing."""
        return [self._items.popleft() for _ in range(min(self._limit, len(self._items)))]


class Backlog(Inbox[T]):
    """An inbox that is offered things, and takes no more than weighs `most`; what weighs more goes in alone."""

    def __init__(self, limit: int, *, weigh: Callable[[T], int], most: int) -> None:
        super().__init__(limit)
        self._weigh = weigh
        self._most = most
        self.weight = 0
        """Of all that waits."""

    def offer(self, item: T) -> bool:
        """Put it there if there is room; whether there was."""
        weight = self._weigh(item)
        if self.weight and self.weight + weight > self._most:
            return False
        self.weight += weight
        self.put(item)
        return True

    def drain(self) -> list[T]:
        items = super().drain()
        self.weight -= sum(map(self._weigh, items))
        return items


def portions(items: Iterable[T], weigh: Callable[[T], int], *, most: int, heaviest: int) -> Iterator[list[T]]:
    """`items` in order, up to `most` at a time that weigh up to `heaviest` together; what weighs more goes alone."""
    portion: list[T] = []
    total = 0
    for item in items:
        weight = weigh(item)
        if portion and (len(portion) == most or total + weight > heaviest):
            yield portion
            portion, total = [], 0
        portion.append(item)
        total += weight
    if portion:
        yield portion
