"""`@service.on` from the end of a task to the function that hears of it: in memory, and on RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from backhaul import Fail, Service, TaskEvent
from backhaul.broker.memory import MemoryBroker
from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.client import AsyncClient
from backhaul.core.clock import SystemClock
from backhaul.core.ports.broker import Broker
from backhaul.settings import Settings
from backhaul.store import upgrade
from backhaul.wiring import open_store
from backhaul.wiring.inprocess import InProcess, in_process

pytestmark = pytest.mark.timeout(90)

Platform = Callable[..., AbstractAsyncContextManager[InProcess]]

talk = Service("talk", version="1.0.0")


@talk.handler("talk.say")
async def say(word: str) -> str:
    if word == "no":
        raise Fail("refused", "not today")
    return word


class Ears:
    """A service that only listens. It refuses what it hears as long as `deaf` says so."""

    def __init__(self) -> None:
        self.service = Service("ears", version="1.0.0")
        self.heard: asyncio.Queue[TaskEvent] = asyncio.Queue()
        self.deaf = False

        @self.service.on("task.talk.*.succeeded", "task.talk.*.failed")
        async def hear(event: TaskEvent) -> None:
            if self.deaf:
                raise Fail("deaf", f"cannot hear of {event.key}")
            self.heard.put_nowait(event)

    async def next(self) -> TaskEvent:
        async with asyncio.timeout(20):
            return await self.heard.get()


@asynccontextmanager
async def _running(broker: Broker, url: str, *services: Service) -> AsyncIterator[InProcess]:
    clock, settings = SystemClock(), Settings(drain_grace=timedelta(seconds=1))
    store = open_store(settings, clock, url=url)
    async with in_process(services, store, broker, settings=settings, clock=clock) as running:
        yield running


@pytest.fixture
def in_memory() -> Platform:
    return lambda *services: _running(MemoryBroker(), "sqlite:///:memory:", *services)


@pytest.fixture
async def on_rabbitmq(amqp_url: str, database_url: str) -> Platform:
    await asyncio.to_thread(upgrade, database_url)
    return lambda *services: _running(RabbitBroker(amqp_url, name="listening"), database_url, *services)


@pytest.fixture(params=["in_memory", "on_rabbitmq"])
def platform(request: pytest.FixtureRequest) -> Platform:
    made: Platform = request.getfixturevalue(request.param)
    return made


async def letters(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The dead letters, once there are any."""
    async with asyncio.timeout(20):
        while not (found := (await http.get("/v1/dead-letters")).json()["data"]):
            await asyncio.sleep(0.05)
    return list(found)


async def test_a_service_hears_how_the_tasks_of_another_end(platform: Platform) -> None:
    ears = Ears()

    async with platform(talk, ears.service) as running, AsyncClient(running.url) as client:
        await client.submit("talk.say", "yes", key="one", metadata={"shop": "7"})
        good = await ears.next()
        await client.submit("talk.say", "no", key="two")
        bad = await ears.next()

    assert (good.type, good.key, good.status, good.result) == ("task.succeeded", "one", "succeeded", "yes")
    assert good.metadata == {"shop": "7"}
    assert (bad.type, bad.key, bad.error and bad.error.code) == ("task.failed", "two", "refused")
    assert ears.heard.empty()


async def test_an_event_that_is_refused_is_a_dead_letter_and_its_replay_is_heard(platform: Platform) -> None:
    ears = Ears()
    ears.deaf = True

    async with (
        platform(talk, ears.service) as running,
        AsyncClient(running.url) as client,
        httpx.AsyncClient(base_url=running.url) as http,
    ):
        task = await client.submit("talk.say", "yes", key="one")
        [letter] = await letters(http)
        ears.deaf = False
        replayed = await http.post(f"/v1/dead-letters/{letter['id']}/replay")
        heard = await ears.next()

    assert (letter["reason"], letter["task_id"]) == ("deaf", task.id)
    assert "cannot hear of one" in letter["detail"]
    assert (letter["exchange"], letter["routing_key"]) == ("", "backhaul.on.ears.hear")
    assert replayed.is_success
    assert heard.task_id == task.id


async def test_what_happens_while_no_worker_listens_is_kept(on_rabbitmq: Platform) -> None:
    ears = Ears()
    async with on_rabbitmq(talk, ears.service):
        pass
    async with on_rabbitmq(talk) as running, AsyncClient(running.url) as client:
        task = await client.submit("talk.say", "yes")
        await task.result(timeout="20s")

    async with on_rabbitmq(ears.service):
        heard = await ears.next()

    assert heard.task_id == task.id


async def test_a_queue_that_is_deleted_is_declared_anew_and_heard_again(on_rabbitmq: Platform) -> None:
    ears = Ears()
    async with on_rabbitmq(talk, ears.service) as running, AsyncClient(running.url) as client:
        await running.platform.broker.delete("backhaul.on.ears.hear")
        async with asyncio.timeout(30):
            while not await running.platform.broker.readers("backhaul.on.ears.hear"):
                await asyncio.sleep(0.1)

        task = await client.submit("talk.say", "yes")

        assert (await ears.next()).task_id == task.id
