"""What a role does until what it stands on is there."""

import asyncio
import logging
from collections.abc import Sequence
from typing import cast

import httpx
import pytest

from backhaul.broker.memory import Hub, MemoryBroker
from backhaul.core.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable, TurnedAway
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Misfit, Topology
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.settings import Settings
from backhaul.wiring.startup import Lacking, Startup, StoppedEarly
from tests.support.ports import free_port

AWAY = StoreUnavailable("the store does not answer in time")


class SlowStore:
    """A store that is away until `back` is set."""

    def __init__(self) -> None:
        self.back = asyncio.Event()
        self.tried = asyncio.Event()

    async def start(self) -> None:
        self.tried.set()
        if not self.back.is_set():
            raise AWAY


class MisfittingBroker(MemoryBroker):
    """On which things are not as they should be; `turned_away` is what it says to who wants to begin."""

    misfits: Sequence[Misfit] = ()
    turned_away: TurnedAway | None = None
    looks: Sequence[BrokerUnavailable] = ()
    """What comes of the first looks around."""

    async def start(self, *, required: bool = True, patient: bool = False) -> None:
        if self.turned_away is not None and patient:
            raise self.turned_away
        await super().start(required=required, patient=patient)

    async def check(self, topology: Topology) -> list[Misfit]:
        if self.looks:
            error, *self.looks = self.looks
            raise error
        return list(self.misfits)


async def readiness(port: int) -> tuple[int, list[str]]:
    """Once it is served."""
    async with asyncio.timeout(10), httpx.AsyncClient() as http:
        while True:
            try:
                answer = await http.get(f"http://127.0.0.1:{port}/readyz")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return answer.status_code, answer.json()["down"]


async def test_a_store_that_is_away_is_waited_for_and_readiness_names_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store, port = SlowStore(), free_port()
    startup = Startup("ledger", asyncio.Event(), ("127.0.0.1", port))

    opening = asyncio.create_task(startup.open_store(cast(Store, store)))
    told = await readiness(port)
    store.back.set()
    async with asyncio.timeout(10):
        await opening

    assert told == (503, ["store"])
    assert [record.message for record in caplog.records if record.name == "backhaul"] == [
        f"ledger waits for the store: {AWAY}",
        "ledger goes on: the store is there",
    ]


async def test_what_is_served_later_is_unavailable_until_then() -> None:
    store, port = SlowStore(), free_port()
    startup = Startup("gateway", asyncio.Event(), ("127.0.0.1", port))

    opening = asyncio.create_task(startup.open_store(cast(Store, store)))
    await readiness(port)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answers = [
            await http.get("/v1/tasks/tsk_01m87kx6j7e00bjx9gmgjnrv45"),
            await http.post("/v1/tasks", json={"kind": "digest.summarise", "input": {}}),
            await http.get("/readyz"),
        ]
        alive = await http.get("/healthz")
    store.back.set()
    async with asyncio.timeout(10):
        await opening

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["accepting"] is False
    assert alive.status_code == 200


async def test_who_is_asked_to_end_waits_no_longer() -> None:
    store, stop = SlowStore(), asyncio.Event()
    opening = asyncio.create_task(Startup("ledger", stop, None).open_store(cast(Store, store)))
    await store.tried.wait()

    stop.set()

    async with asyncio.timeout(10):
        with pytest.raises(StoppedEarly):
            await opening


async def test_a_broker_that_is_down_is_waited_for_by_who_needs_it() -> None:
    hub = Hub()
    broker = MemoryBroker(hub)
    await broker.start()
    await broker.declare(topology.platform(1))
    hub.down()
    late = MemoryBroker(hub)
    port = free_port()

    opening = asyncio.create_task(
        Startup("worker", asyncio.Event(), ("127.0.0.1", port)).open_broker(
            late, Settings(), all_is_allowed, required=True
        )
    )
    told = await readiness(port)
    hub.up()
    async with asyncio.timeout(10):
        await opening

    assert told == (503, ["broker"])
    assert late.connected
    await late.stop()
    await broker.stop()


async def all_is_allowed() -> list[str]:
    return []


async def opened(broker: Broker, lacking: Lacking = all_is_allowed, *, required: bool = True) -> None:
    async with asyncio.timeout(10):
        await Startup("worker", asyncio.Event(), None).open_broker(broker, Settings(), lacking, required=required)


async def test_a_topology_that_does_not_fit_ends_the_start() -> None:
    broker = MisfittingBroker()
    broker.misfits = [Misfit("queue a", "does not exist"), Misfit("queue b", "does not exist")]

    with pytest.raises(
        ConfigurationError, match=r"queue a does not exist \(and 1 more\): run `backhaul topology apply`"
    ):
        await opened(broker)

    await broker.stop()


async def test_a_queue_whose_nodes_may_come_back_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    broker = MisfittingBroker()
    broker.misfits = [Misfit("queue a", "exists, but does not answer", "start its nodes", passing=True)]

    await opened(broker)

    assert "queue a exists, but does not answer: start its nodes" in caplog.text
    await broker.stop()


async def test_a_broker_that_turns_us_away_ends_the_start() -> None:
    broker = MisfittingBroker()
    broker.turned_away = TurnedAway("RabbitMQ does not accept user 'x' with this password")

    with pytest.raises(ConfigurationError, match="does not accept user 'x'"):
        await opened(broker)


async def test_a_broker_that_was_away_and_turns_us_away_when_it_is_back_ends_the_start() -> None:
    broker = MisfittingBroker()
    broker.looks = [BrokerUnavailable("it is down"), TurnedAway("it does not accept user 'x' with this password")]

    with pytest.raises(ConfigurationError, match="does not accept user 'x'"):
        await opened(broker)

    await broker.stop()


async def test_readiness_says_why_the_broker_is_waited_for() -> None:
    class Blocked(MemoryBroker):
        blocked = "low on memory"

        async def check(self, topology: Topology) -> list[Misfit]:
            raise BrokerUnavailable("it takes no messages")

    port, stop = free_port(), asyncio.Event()
    opening = asyncio.create_task(
        Startup("worker", stop, ("127.0.0.1", port)).open_broker(Blocked(), Settings(), all_is_allowed, required=True)
    )
    await readiness(port)
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/readyz")
    stop.set()
    with pytest.raises(StoppedEarly):
        await opening

    assert answer.json()["detail"] == "The worker begins as soon as the broker is there (low on memory): try again."


async def test_who_can_begin_without_a_broker_does_not_wait_for_it() -> None:
    hub = Hub()
    hub.down()
    broker = MemoryBroker(hub)

    await opened(broker, required=False)

    assert not broker.connected
    await broker.stop()


async def test_a_broker_that_goes_away_at_the_start_keeps_nobody_from_beginning_without_it() -> None:
    async def lacking() -> list[str]:
        raise BrokerUnavailable("the broker does not answer")

    broker = MisfittingBroker()

    await opened(broker, required=False, lacking=lacking)

    assert broker.connected, "it has only gone away for a moment"
    await broker.stop()


@pytest.mark.parametrize("required", [True, False])
async def test_a_user_who_may_do_too_little_ends_the_start(*, required: bool) -> None:
    async def lacking() -> list[str]:
        return ["read backhaul.claims", "write backhaul.events"]

    broker = MisfittingBroker()

    with pytest.raises(
        ConfigurationError, match=r"may not read backhaul\.claims, write backhaul\.events: `rabbitmqctl"
    ):
        await opened(broker, lacking, required=required)

    await broker.stop()
