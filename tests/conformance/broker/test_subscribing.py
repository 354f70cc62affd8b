"""What a subscription to foreign producers promises."""

import asyncio

from backhaul.core.ports.broker import Broker, Delivery, Message
from tests.conformance.broker.ground import Ground, message, quiet, ready, until


class Desk:
    """A handler that waits until it is let go, and counts."""

    def __init__(self, *, failures: int = 0) -> None:
        self.begun: list[Delivery] = []
        self.done: list[bytes] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self._failures = failures

    async def __call__(self, delivery: Delivery) -> None:
        self.begun.append(delivery)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self._failures:
            self._failures -= 1
            raise RuntimeError("the handler fails")
        self.done.append(delivery.body)

    async def has_begun(self, number: int) -> None:
        async def reached() -> bool:
            return len(self.begun) >= number

        await until(reached, f"{number} handlers have begun")

    async def has_done(self, number: int) -> None:
        async def reached() -> bool:
            return len(self.done) >= number

        await until(reached, f"{number} handlers are done")


async def test_a_delivery_is_acknowledged_when_its_handler_returns(broker: Broker) -> None:
    desk = Desk()
    desk.open.set()
    await broker.subscribe("one", desk, credit=5)

    await broker.publish([message(b"%d" % number, queue="one") for number in range(12)])

    await desk.has_done(12)
    assert sorted(desk.done) == sorted(b"%d" % number for number in range(12))
    await broker.stop()


async def test_what_is_acknowledged_does_not_come_again(ground: Ground, broker: Broker) -> None:
    desk, other = Desk(), await ground.broker()
    desk.open.set()
    await other.subscribe("one", desk, credit=5)
    await broker.publish([message(b"%d" % number, queue="one") for number in range(12)])
    await desk.has_done(12)
    await quiet(broker)

    await other.stop()

    await quiet(broker)
    assert await broker.ready("one") == 0


async def test_a_handler_sees_the_message_as_it_was_sent(broker: Broker) -> None:
    desk = Desk()
    desk.open.set()
    await broker.subscribe("one", desk, credit=1)

    await broker.publish(
        [
            Message(
                exchange="",
                routing_key="one",
                body=b"{not json",
                content_type="application/json",
                message_id="m-1",
                correlation_id="c-1",
                reply_to="two",
                priority=4,
                headers={"traceparent": "00-1-2-01"},
            )
        ]
    )

    await desk.has_done(1)
    [delivery] = desk.begun
    assert (delivery.body, delivery.content_type) == (b"{not json", "application/json")
    assert (delivery.exchange, delivery.routing_key) == ("", "one")
    assert (delivery.message_id, delivery.correlation_id, delivery.reply_to) == ("m-1", "c-1", "two")
    assert (delivery.priority, dict(delivery.headers)) == (4, {"traceparent": "00-1-2-01"})
    assert await broker.ready("two") == 0


async def test_a_message_without_an_id_has_none(broker: Broker) -> None:
    desk = Desk()
    desk.open.set()
    await broker.subscribe("one", desk, credit=1)

    await broker.publish([message(b"anonymous", queue="one")])

    await desk.has_done(1)
    assert (desk.begun[0].message_id, desk.begun[0].correlation_id, desk.begun[0].user_id) == (None, None, None)
    assert desk.begun[0].expiration is None


async def test_as_many_handlers_run_as_there_is_credit(broker: Broker) -> None:
    desk = Desk()
    await broker.subscribe("one", desk, credit=3)

    await broker.publish([message(b"%d" % number, queue="one") for number in range(8)])

    await desk.has_begun(3)
    await ready(broker, "one", 5)
    assert len(desk.begun) == 3
    desk.open.set()
    await desk.has_done(8)


async def test_a_message_whose_handler_fails_is_handled_again(broker: Broker) -> None:
    desk = Desk(failures=1)
    desk.open.set()
    await broker.subscribe("one", desk, credit=2)

    await broker.publish([message(b"a", queue="one")])

    await desk.has_done(1)
    assert [delivery.redelivered for delivery in desk.begun] == [False, True]


async def test_a_message_whose_handler_fails_is_kept_back_for_a_while(broker: Broker) -> None:
    desk = Desk(failures=1)
    desk.open.set()
    await broker.subscribe("one", desk, credit=2)
    started = asyncio.get_running_loop().time()

    await broker.publish([message(b"a", queue="one")])

    await desk.has_done(1)
    assert 0.9 <= asyncio.get_running_loop().time() - started < 5


async def test_a_cancelled_subscription_lets_handlers_finish(ground: Ground, broker: Broker) -> None:
    desk, other = Desk(), await ground.broker()
    subscription = await other.subscribe("one", desk, credit=2)
    await broker.publish([message(b"%d" % number, queue="one") for number in range(4)])
    await desk.has_begun(2)

    await subscription.cancel()
    desk.open.set()
    await desk.has_done(2)
    await quiet(broker)
    await other.stop()

    await ready(broker, "one", 2)
    assert desk.cancelled == 0
    assert len(desk.begun) == 2


async def test_a_subscription_is_resized(broker: Broker) -> None:
    desk = Desk()
    desk.open.set()
    subscription = await broker.subscribe("one", desk, credit=2)

    await subscription.resize(lambda: 0)
    await broker.publish([message(b"%d" % number, queue="one") for number in range(4)])
    await quiet(broker)
    while_paused = len(desk.begun)
    desk.open.clear()
    await subscription.resize(lambda: 3)

    await desk.has_begun(3)
    await ready(broker, "one", 1)
    assert while_paused == 0
    assert len(desk.begun) == 3
    desk.open.set()
    await desk.has_done(4)


async def test_a_loss_cancels_no_handler_and_what_was_not_settled_comes_again(ground: Ground, broker: Broker) -> None:
    desk = Desk()
    await broker.subscribe("one", desk, credit=2)
    await broker.publish([message(b"a", queue="one")])
    await desk.has_begun(1)

    await ground.cut()

    await desk.has_begun(2)
    desk.open.set()
    await desk.has_done(2)
    assert desk.cancelled == 0
    assert [delivery.redelivered for delivery in desk.begun] == [False, True]


async def test_a_subscription_goes_on_after_the_broker_was_away(ground: Ground, broker: Broker) -> None:
    desk = Desk()
    desk.open.set()
    await broker.subscribe("one", desk, credit=2)

    await ground.down()
    await ground.up()
    await until(lambda: _published(broker), "a publish succeeds")

    await desk.has_done(1)
    assert desk.done == [b"back"]


async def test_stopping_gives_back_what_handlers_hold(ground: Ground, broker: Broker) -> None:
    desk, other = Desk(), await ground.broker()
    await other.subscribe("one", desk, credit=2)
    await broker.publish([message(b"a", queue="one")])
    await desk.has_begun(1)

    await other.stop()

    await ready(broker, "one", 1)
    assert desk.cancelled == 1


async def _published(broker: Broker) -> bool:
    if not broker.connected:
        return False
    await broker.publish([message(b"back", queue="one")])
    return True
