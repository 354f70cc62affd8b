"""Taking waiting messages from a queue without consuming it."""

from pamqp.commands import Basic

from backhaul.broker.rabbitmq.channel import Channel, Content
from backhaul.broker.rabbitmq.delivery import RabbitDelivery, Settlements
from backhaul.broker.rabbitmq.errors import ChannelLost
from backhaul.broker.rabbitmq.session import Session


class Listing:
    """A channel to take messages by. It is let go when none of them is held any more."""

    def __init__(self, session: Session, channel: Channel) -> None:
        self._channel = channel
        self._settlements = Settlements(session.wire, channel.number, channel.close)
        channel.user = self

    async def next(self, queue: str) -> RabbitDelivery | None:
        """The first message that waits. Raises `ChannelLost` and `TimeoutError`."""
        answer = await self._channel.call(Basic.Get(queue=queue))
        if not isinstance(answer, Content):
            return None
        delivery = RabbitDelivery(self._settlements, answer.arguments, 0, answer.header, answer.body)
        self._settlements.deliver(delivery.tag)
        return delivery

    def on_content(self, method: int, arguments: bytes, header: bytes, body: bytes) -> None:
        """Nothing is consumed on this channel."""

    def on_confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Nothing is published on this channel."""

    def on_cancelled(self) -> None:
        """Nothing is consumed on this channel."""

    def on_lost(self, error: ChannelLost) -> None:
        self._settlements.end()


async def take(session: Session, queue: str, limit: int) -> list[RabbitDelivery]:
    """At most `limit` waiting messages. Raises `ChannelLost` and `TimeoutError`."""
    channel = await session.channel()
    listing = Listing(session, channel)
    taken: list[RabbitDelivery] = []
    try:
        while len(taken) < limit and (delivery := await listing.next(queue)) is not None:
            taken.append(delivery)
    except BaseException:
        channel.close()
        raise
    if not taken:
        channel.close()
    return taken
