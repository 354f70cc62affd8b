"""What is deleted from the broker under a running platform is declared anew, with its bindings."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.ports.broker import DELETION_SETTLES, Message
from backhaul.ledger.restorer import Restorer
from backhaul_contracts.kinds import Interest
from tests.unit.ledger.prompt_clock import PromptClock


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    """One on which nothing stands."""
    broker = MemoryBroker()
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def restorer(broker: MemoryBroker) -> Restorer:
    return Restorer(broker, PromptClock(), shards=2)


async def test_every_queue_stands_again_with_its_bindings(
    broker: MemoryBroker, restorer: Restorer, caplog: pytest.LogCaptureFixture
) -> None:
    await restorer.restore()

    assert await broker.check(topology.platform(2)) == []
    for exchange, key in ((topology.REPORTS, "255"), (topology.SUBMIT, "any.kind")):
        await broker.publish([Message(exchange=exchange, routing_key=key, body=b"{}", content_type="")])
    assert await broker.ready(topology.UNROUTED) == 0
    assert "queue backhaul.claims was deleted, with all it held: it is declared anew" in caplog.text


async def test_a_queue_is_declared_anew_when_all_who_heard_it_know_that_it_was_deleted(broker: MemoryBroker) -> None:
    waits: list[timedelta] = []

    class Clock(PromptClock):
        async def sleep(self, length: timedelta) -> None:
            assert await broker.ready(topology.CLAIMS) is None
            waits.append(length)

    await Restorer(broker, Clock(), shards=2).restore()

    assert waits == [DELETION_SETTLES]
    assert await broker.ready(topology.CLAIMS) == 0


async def test_what_stands_is_left_alone(
    broker: MemoryBroker, restorer: Restorer, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.declare(topology.platform(2))

    await restorer.restore()

    assert caplog.text == ""


async def test_a_broker_that_is_down_is_left_alone(broker: MemoryBroker, restorer: Restorer) -> None:
    await broker.stop()

    await restorer.restore()

    await broker.start()
    assert await broker.ready(topology.CLAIMS) is None


async def test_a_service_that_comes_while_it_looks_is_looked_after_too(
    broker: MemoryBroker, restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = broker.ready

    async def ready(queue: str) -> int | None:
        if queue == topology.event_queue("shop", "mail"):
            restorer.keep(topology.event_queues([Interest(service="shop", name="index", patterns=["task.#"])]))
        return await look(queue)

    restorer.keep(topology.event_queues([Interest(service="shop", name="mail", patterns=["task.#"])]))
    monkeypatch.setattr(broker, "ready", ready)

    await restorer.restore()
    await restorer.restore()

    assert await look(topology.event_queue("shop", "index")) == 0


async def test_a_queue_that_cannot_be_looked_at_holds_up_no_other_and_is_told_once(
    broker: MemoryBroker, restorer: Restorer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look = broker.ready

    async def ready(queue: str) -> int | None:
        if queue == topology.CLAIMS:
            raise ConfigurationError("the queue must not be read")
        return await look(queue)

    monkeypatch.setattr(broker, "ready", ready)

    await restorer.restore()
    await restorer.restore()

    assert await look(topology.CLAIMS) is None
    assert await look(topology.ledger_queue(1)) == 0
    assert caplog.text.count("the queue must not be read") == 1


async def test_a_queue_that_cannot_be_declared_is_told_once(
    broker: MemoryBroker, restorer: Restorer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def declare(wanted: topology.Topology) -> None:
        if wanted.queues[0].name == topology.CLAIMS:
            raise ConfigurationError("the queue must not be declared")

    monkeypatch.setattr(broker, "declare", declare)
    caplog.set_level("INFO")

    for _ in range(2):
        await restorer.restore()

    assert caplog.text.count("the queue must not be declared") == 1
    assert "well again" not in caplog.text
    assert f"queue {topology.CLAIMS} was deleted" not in caplog.text


async def test_a_queue_that_stands_but_cannot_be_bound_is_told_once(
    broker: MemoryBroker, restorer: Restorer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.declare(topology.platform(2))
    heard = topology.event_queues([Interest(service="sales", name="note", patterns=["task.#"])])
    await broker.declare(heard)
    restorer.keep(heard)

    async def declare(wanted: topology.Topology) -> None:
        raise ConfigurationError("the exchange must not be read")

    monkeypatch.setattr(broker, "declare", declare)
    caplog.set_level("INFO")

    for _ in range(2):
        await restorer.restore()
        await restorer.bind()

    assert caplog.text.count("the exchange must not be read") == 1
    assert "well again" not in caplog.text


async def test_the_queues_of_services_are_bound_again(broker: MemoryBroker, restorer: Restorer) -> None:
    await broker.declare(topology.platform(2))
    heard = topology.event_queues([Interest(service="sales", name="note", patterns=["task.#"])])
    await broker.declare(heard)
    restorer.keep(heard)
    await broker.unbind(heard.bindings)

    await restorer.bind()

    await broker.publish(
        [Message(exchange=topology.EVENTS, routing_key="task.x.succeeded", body=b"{}", content_type="")]
    )
    assert await broker.ready(topology.event_queue("sales", "note")) == 1
