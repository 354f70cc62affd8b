"""Looking through a queue without taking anything away.

AMQP knows no such thing: a message is looked at by taking delivery of it, and stays where it is if it is given back.
Therefore everything that is looked at is held until the look ends, so that the next message comes, and then given back
at once, in its order. A look has a connection of its own: whatever becomes of us, the broker gives back what that held.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

from pamqp.base import Frame
from pamqp.commands import Basic
from pamqp.commands import Queue as QueueMethods

from backhaul.broker.rabbitmq.channel import Channel, Content
from backhaul.broker.rabbitmq.delivery import RabbitDelivery
from backhaul.broker.rabbitmq.errors import RESOURCE_LOCKED, ChannelLost
from backhaul.broker.rabbitmq.frames import ack_frame, return_frame
from backhaul.broker.rabbitmq.session import Session
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.ports.broker import Delivery, Look

PATIENCE = 1.5
"""How many seconds the broker may be silent, and how many a look may wait for others to end."""

_LOCK_PAUSE = 0.05
_FIRST_WINDOW, _LARGEST_WINDOW = 50, 1_000
_WINDOW_BYTES = 8 * 1024 * 1024
# A quorum queue takes back at most so many messages at once in their order: more it keeps in a map of Erlang's, which
# has none. And from more than 32 such commands under way to a queue, a channel makes one.
_ORDERLY = 32
_AT_ONCE = 16
_RETURN_PAUSES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


class Search:
    """A channel by which messages are looked at, a window of them at a time: the broker reads a window into memory."""

    def __init__(self, session: Session, channel: Channel, queue: str, want: Callable[[Delivery], bool]) -> None:
        self.wanted: list[RabbitDelivery] = []
        self._wire = session.wire
        self._channel = channel
        self._queue = queue
        self._want = want
        self._seen = 0
        self._weight = 0
        self._acked: set[int] = set()
        self._largest = _WINDOW_BYTES // _FIRST_WINDOW
        # Held messages are given back by consumer, in the order of these names.
        self._names = (f"look.{number:06}" for number in count())
        self._missing = 0
        self._complete = asyncio.Event()
        self._fault: Exception | None = None
        channel.user = self

    async def through(self, most: int, heaviest: int) -> int:
        """Ask for everything that waits, within these bounds; returns how many messages wait behind."""
        while self._seen < most and self._weight < heaviest:
            waiting = await self._ready()
            fetched = await self._fetch(min(waiting, most - self._seen, self._window())) if waiting else 0
            if not fetched and not await self._one_more():
                return 0
        return await self._ready()

    async def give_back(self, unseen: int) -> None:
        """Everything but what was acknowledged. Returns when it waits again, or when others have taken it."""
        number = self._channel.number
        held = [tag for tag in range(1, self._seen + 1) if tag not in self._acked]
        alone = True
        self._wire.send(b"".join(ack_frame(number, tag, multiple=False) for tag in self._acked))
        for start in range(0, len(held), _ORDERLY * _AT_ONCE):
            portion = held[start : start + _ORDERLY * _AT_ONCE]
            last_of_each = [*portion[_ORDERLY - 1 :: _ORDERLY], portion[-1]]
            self._wire.send(b"".join(return_frame(number, tag) for tag in dict.fromkeys(last_of_each)))
            alone = alone and await self._returned(unseen + start + len(portion))

    async def _returned(self, number: int) -> bool:
        """Return when so many messages wait, as the broker does not say when: it has to be asked. False: somebody else
        takes them."""
        for pause in _RETURN_PAUSES:
            await asyncio.sleep(pause)
            if await self._ready() >= number:
                return True
        return False

    def ack(self, tag: int) -> None:
        self._acked.add(tag)

    def requeue(self, tag: int) -> None:
        """It goes back with all others."""

    def on_content(self, method: int, arguments: bytes, header: bytes, body: bytes) -> None:
        self._take(RabbitDelivery(self, arguments, 1 + arguments[0], header, body))
        self._missing -= 1
        if self._missing <= 0:
            self._complete.set()

    def on_confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Nothing is published on this channel."""

    def on_cancelled(self) -> None:
        self._complete.set()

    def on_lost(self, error: ChannelLost) -> None:
        self._complete.set()

    def _take(self, delivery: RabbitDelivery) -> None:
        self._seen += 1
        self._weight += len(delivery.body)
        self._largest = max(self._largest, len(delivery.body))
        try:
            if self._want(delivery):
                self.wanted.append(delivery)
        except Exception as fault:  # noqa: BLE001 - it is not the business of the connection, but of who looks
            self._fault = fault

    def _window(self) -> int:
        return max(1, min(_LARGEST_WINDOW, _WINDOW_BYTES // self._largest, max(self._seen, _FIRST_WINDOW)))

    async def _fetch(self, number: int) -> int:
        """Take delivery of so many messages that wait; fewer come if somebody else takes some."""
        before, name = self._seen, next(self._names)
        self._missing = number
        self._complete.clear()
        await self._call(Basic.Qos(prefetch_count=number), Basic.Consume(queue=self._queue, consumer_tag=name))
        try:
            async with asyncio.timeout(PATIENCE):
                await self._complete.wait()
        except TimeoutError:
            pass  # if it is the broker that is silent, the next call says so
        await self._call(Basic.Cancel(consumer_tag=name))
        if self._fault is not None:
            raise self._fault
        return self._seen - before

    async def _one_more(self) -> bool:
        """The number of messages that wait may be late: asking for one tells for certain."""
        answer = await self._call(Basic.Get(queue=self._queue))
        if isinstance(answer, Content):
            self._take(RabbitDelivery(self, answer.arguments, 0, answer.header, answer.body))
        return isinstance(answer, Content)

    async def _ready(self) -> int:
        reply = await self._call(QueueMethods.Declare(queue=self._queue, passive=True))
        return int(reply.message_count or 0) if isinstance(reply, QueueMethods.DeclareOk) else 0

    async def _call(self, *methods: Frame) -> Frame | Content:
        async with asyncio.timeout(PATIENCE):
            return await self._channel.call(*methods)


@asynccontextmanager
async def looking(
    session: Session, queue: str, want: Callable[[Delivery], bool], most: int, heaviest: int
) -> AsyncIterator[Look]:
    """See `Broker.look`. `session` is for this alone, and is to be closed behind it.

    Raises `ChannelLost`, `TimeoutError`, and `BrokerUnavailable` if another look does not end.
    """
    await _lock(session, queue)
    async with asyncio.timeout(PATIENCE):
        channel = await session.channel()
    search = Search(session, channel, queue, want)
    unseen = await search.through(most, heaviest)
    try:
        yield Look(tuple(search.wanted), unseen)
    except BrokerUnavailable:  # then there is nobody to give anything back to
        raise
    except BaseException:
        await search.give_back(unseen)
        raise
    else:
        await search.give_back(unseen)


async def _lock(session: Session, queue: str) -> None:
    """Others who look at the same queue wait until our connection ends, whose queue this is."""
    mark = QueueMethods.Declare(
        queue=f"{queue}.look", exclusive=True, auto_delete=True, arguments={"x-queue-type": "classic"}
    )
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        async with asyncio.timeout(PATIENCE):
            channel = await session.channel()
            try:
                await channel.call(mark)
            except ChannelLost as error:
                if error.code != RESOURCE_LOCKED:
                    raise
            else:
                return
        if asyncio.get_running_loop().time() > deadline:
            raise BrokerUnavailable(f"others look through {queue} at this moment: try again")
        await asyncio.sleep(_LOCK_PAUSE)
