"""What is asked of RabbitMQ to see whether a topology stands there."""

from typing import cast

from pamqp.base import Frame

from backhaul.broker.rabbitmq.errors import ACCESS_REFUSED, ChannelLost
from backhaul.broker.rabbitmq.session import Session
from backhaul.broker.rabbitmq.topology import check
from backhaul.core.messages.topology import Queue, Topology


class _Guarded:
    """A session, and each of its channels, of one who may look and not declare."""

    def __init__(self) -> None:
        self.refused = 0
        self.looked_at: list[str] = []

    async def channel(self) -> "_Guarded":
        return self

    async def call(self, frame: Frame) -> None:
        asked: dict[str, object] = dict(frame)
        if not asked["passive"]:
            self.refused += 1
            raise ChannelLost(ACCESS_REFUSED, f"access to {asked['queue']} is refused")
        self.looked_at.append(str(asked["queue"]))

    def close(self) -> None:
        pass


async def test_who_may_not_declare_is_refused_once_and_looks_at_all_the_same() -> None:
    guarded = _Guarded()

    misfits = await check(cast("Session", guarded), Topology(queues=(Queue("one"), Queue("two"), Queue("three"))))

    assert misfits == []
    assert guarded.looked_at == ["one", "two", "three"]
    assert guarded.refused == 1  # RabbitMQ logs each as an error
