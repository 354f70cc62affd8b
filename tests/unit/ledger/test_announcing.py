"""How services and the ledger find each other when something is in the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from backhaul import Service
from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import SystemClock
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Broker
from backhaul.ledger.announcing import Announcements
from backhaul.ledger.eventqueues import EventQueues
from backhaul.ledger.taskqueues import TaskQueues
from backhaul.settings import Settings
from backhaul.wiring import open_store
from backhaul.wiring.platform import Platform, build_workers
from backhaul_contracts.beats import Beat
from tests.support.deadlines import until

taken, free = Service("taken", version="1.0.0"), Service("free", version="1.0.0")


@taken.handler("taken.say")
@free.handler("free.say")
async def say(word: str) -> str:
    return word


@asynccontextmanager
async def ground(*services: Service) -> AsyncIterator[tuple[Platform, MemoryBroker]]:
    """A platform that is not running yet, with a ledger, and a worker for each service."""
    settings, clock, broker = Settings(), SystemClock(), MemoryBroker()
    store = open_store(settings, clock, url="sqlite:///:memory:")
    await store.start()
    await broker.start()
    await broker.declare(topology.platform(1))
    platform = Platform(store, broker, settings=settings, clock=clock)
    platform.add_ledger()
    platform.add_workers(services)
    yield platform, broker
    await broker.stop()
    await store.stop()


def announcements(platform: Platform, *, alone: bool) -> Announcements:
    events = EventQueues(platform.broker, lambda _: None)
    return Announcements(platform.store, TaskQueues(platform.broker, SystemClock()), events, alone=alone)


async def made_by_others(broker: Broker) -> None:
    """The queue of `taken` stands there with other properties than ours."""
    await broker.declare(Topology(queues=(Queue(topology.task_queue("taken"), delivery_limit=3),)))


async def test_a_service_whose_queue_cannot_be_declared_hinders_no_other_and_fills_no_dead_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ground(taken, free) as (platform, broker):
        await made_by_others(broker)
        refused, accepted = platform.workers

        async with platform.running(), asyncio.timeout(10):
            await accepted.announced.wait()
            await until(lambda: "does not accept" in caplog.text)
            dead = await broker.ready(topology.DEAD)

    assert not refused.announced.is_set()
    assert "service taken cannot be announced: queue backhaul.tasks.taken has other properties" in caplog.text
    assert dead == 0


strict = Service("free", version="2.0.0")


@strict.handler("free.say")
async def say_a_number(word: int) -> int:
    return word


async def test_a_worker_whose_kind_breaks_what_another_promises_is_refused_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ground(free) as (platform, _), platform.running(), asyncio.timeout(10):
        await platform.workers[0].announced.wait()
        (late,) = build_workers([strict], platform.broker, settings=platform.settings, clock=platform.clock)

        with pytest.raises(ConfigurationError) as refusal:
            await late.run(stop=asyncio.Event())

        known = await platform.store.kinds()

    assert not late.announced.is_set()
    assert [spec.service_version for spec in known] == ["1.0.0"]
    assert "service free 2.0.0 are refused" in str(refusal.value)
    assert "free.say@1 (input: string → integer; result: string → integer)" in str(refusal.value)
    assert 'version="2"' in str(refusal.value)
    assert "service free: the change of free.say@1 is refused" in caplog.text


async def test_where_one_service_is_refused_the_others_of_its_process_drain_and_the_reason_is_raised() -> None:
    async with ground(free, strict, taken) as (platform, _):
        with pytest.raises(ExceptionGroup) as raised:
            async with platform.running(), asyncio.timeout(10):
                await asyncio.Event().wait()

    (reason,) = raised.value.exceptions
    assert isinstance(reason, ConfigurationError)
    assert "are refused, for they break what is promised: free.say@1" in str(reason)


@pytest.mark.parametrize(
    "schema",
    [{"type": "no such type"}, {"$ref": "http://127.0.0.1:9/schema.json"}, {"type": "string", "pattern": "("}],
)
async def test_a_kind_whose_schema_is_none_is_refused(schema: dict[str, Any]) -> None:
    async with ground(free) as (platform, _):
        announcement = free.announcement()
        (kind,) = announcement.kinds
        broken = announcement.model_copy(update={"kinds": [kind.model_copy(update={"input_schema": schema})]})
        beat = Beat(worker_id="wrk_1", number=1, service="free", version="1", slots=1, running=0, announcement=broken)

        heard, refused = await announcements(platform, alone=False).hear(beat)

        assert heard.announcement is None
        assert refused[0].reason.startswith("the schema of its input is not valid: ")
        assert await platform.store.kinds() == []


async def test_alone_a_kind_may_change_between_two_starts_and_not_within_one(caplog: pytest.LogCaptureFixture) -> None:
    async with ground() as (platform, _):
        beats = {
            service.version: Beat(
                worker_id="wrk_1",
                number=1,
                service="free",
                version=service.version,
                slots=1,
                running=0,
                announcement=service.announcement(),
            )
            for service in (free, strict)
        }
        before = announcements(platform, alone=True)
        after = announcements(platform, alone=True)

        assert (await before.hear(beats["1.0.0"]))[1] == []
        assert (await after.hear(beats["2.0.0"]))[1] == []
        assert [refused.kind for refused in (await after.hear(beats["1.0.0"]))[1]] == ["free.say"]

    assert "the change of free.say@1 is taken, since nobody speaks the old one any more" in caplog.text


async def test_a_ledger_that_starts_in_an_outage_waits_for_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async with ground(free) as (platform, broker):
        broker.hub.down()

        async with platform.running(), asyncio.timeout(10):
            await until(lambda: "the ledger waits for an outage to end" in caplog.text)
            broker.hub.up()

            await platform.workers[0].announced.wait()

    assert platform.workers[0].announced.is_set()
