"""Users of RabbitMQ with the least that each role needs: with them all works, and what they must not is refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aio_pika
import httpx
import pytest
from aio_pika.exceptions import ChannelClosed

from backhaul import Context, Fail, Service, TaskEvent
from backhaul.broker.rabbitmq import RabbitBroker, inspect_broker
from backhaul.core.clock import SystemClock
from backhaul.core.findings import Severity
from backhaul.core.messages import topology
from backhaul.core.messages.permissions import GATEWAY, LEDGER, Grants, Operation, Permission, worker
from backhaul.core.messages.policies import OLDEST
from backhaul.gateway import create_app
from backhaul.settings import Settings
from backhaul.store import upgrade
from backhaul.wiring import check_topology, open_store
from backhaul.wiring.definitions import rabbitmq_definitions
from backhaul.wiring.doctor.broker import examine
from backhaul.wiring.permitted import lacking, needed_to_serve, needed_to_work
from backhaul.wiring.platform import Platform
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(120)

PATIENCE = 30
SERVICES = {"talk": ["talk"], "ears": ["ears"]}
USERS = {
    "gateway": "backhaul-gateway",
    "ledger": "backhaul-ledger",
    "talk": "backhaul-worker-talk",
    "ears": "backhaul-worker-ears",
}
NEEDS: Mapping[str, Grants] = {
    "gateway": GATEWAY,
    "ledger": LEDGER,
    "talk": worker({"talk": ["talk"]}),
    "ears": worker({"ears": ["ears"]}),
}

talk, ears = Service("talk", version="1.0.0"), Service("ears", version="1.0.0")


@talk.handler("talk.say")
async def say(word: str) -> str:
    return word


@talk.handler("talk.repeat")
async def repeat(word: str, ctx: Context) -> str:
    await ctx.save({"word": word})
    return f"{await ctx.call('talk.say', word)}, {await ctx.call('talk.say', word)}"


@talk.handler("talk.wait")
async def wait(word: str) -> str:
    await asyncio.Event().wait()
    return word


@ears.on("task.talk.say.succeeded")
async def hear(event: TaskEvent) -> None:
    raise Fail("deaf", "it hears nothing, so that the event becomes a dead letter")


@dataclass(frozen=True, slots=True)
class Deployed:
    """`urls` are those of the users, by name; `http` speaks to the gateway."""

    urls: Mapping[str, str]
    http: httpx.AsyncClient


@pytest.fixture
async def urls(private_rabbitmq: PrivateRabbitMQ) -> Mapping[str, str]:
    """Of a vhost that was set up by the files of `backhaul topology export` alone, by user."""
    vhost = await private_rabbitmq.create_vhost()
    files = rabbitmq_definitions(SERVICES, shards=1, release=OLDEST, vhost=vhost.rsplit("/", 1)[1])
    for content in files.values():
        await private_rabbitmq.import_definitions(json.dumps(content))
    return {name: private_rabbitmq.url_as(user, vhost) for name, user in USERS.items()}


@asynccontextmanager
async def deployed(urls: Mapping[str, str], database_url: str) -> AsyncIterator[Deployed]:
    settings, clock = Settings(), SystemClock()
    async with AsyncExitStack() as stack:
        roles = {}
        for name, url in urls.items():
            store = open_store(settings, clock, url=database_url)
            await store.start()
            stack.push_async_callback(store.stop)
            broker = RabbitBroker(url, name=name, feels=topology.CLAIMS if name in ("talk", "ears") else "")
            await broker.start()
            stack.push_async_callback(broker.stop)
            roles[name] = Platform(store, broker, settings=settings, clock=clock)
        gateway = roles["gateway"].add_gateway()
        roles["ledger"].add_ledger()
        roles["talk"].add_workers([talk])
        roles["ears"].add_workers([ears])
        for role in roles.values():
            await stack.enter_async_context(role.running())
        for worker in (*roles["talk"].workers, *roles["ears"].workers):
            async with asyncio.timeout(PATIENCE):
                await worker.announced.wait()
        transport = httpx.ASGITransport(create_app(gateway))
        http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=PATIENCE)
        yield Deployed(urls, await stack.enter_async_context(http))


async def ended(http: httpx.AsyncClient, kind: str, word: str) -> dict[str, object]:
    answer = await http.post("/v1/tasks", json={"kind": kind, "input": word}, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def until_there_are_letters(http: httpx.AsyncClient) -> list[dict[str, str]]:
    async with asyncio.timeout(PATIENCE):
        while not (found := (await http.get("/v1/dead-letters")).json()["data"]):
            await asyncio.sleep(0.05)
    return list(found)


async def until_it_runs(http: httpx.AsyncClient, task_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await http.get(f"/v1/tasks/{task_id}")).json()["status"] != "running":
            await asyncio.sleep(0.02)


async def test_each_role_does_its_work_with_a_user_of_its_own(
    urls: Mapping[str, str], database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(upgrade, database_url)

    async with deployed(urls, database_url) as platform:
        repeated = await ended(platform.http, "talk.repeat", "hello")
        waiting = (await platform.http.post("/v1/tasks", json={"kind": "talk.wait", "input": ""})).json()["id"]
        await until_it_runs(platform.http, waiting)
        cancelled = await platform.http.post(f"/v1/tasks/{waiting}/cancel", headers={"Prefer": "wait=20"})
        letters = await until_there_are_letters(platform.http)
        replayed = await platform.http.post(f"/v1/dead-letters/{letters[0]['id']}/replay")

    assert repeated["result"] == "hello, hello"
    assert cancelled.status_code in (200, 202), cancelled.text
    assert (letters[0]["queue"], letters[0]["reason"]) == ("backhaul.dead", "deaf")
    assert replayed.status_code < 300, replayed.text
    assert "ACCESS_REFUSED" not in caplog.text


async def test_what_is_imported_is_what_is_declared(urls: Mapping[str, str]) -> None:
    settings = Settings.model_validate({"amqp_url": urls["ledger"]})

    misfits = await asyncio.to_thread(check_topology, settings)

    assert misfits == []


FORBIDDEN = {
    "talk": [
        (Operation.READ, "backhaul.tasks.ears"),
        (Operation.READ, "backhaul.on.ears.hear"),
        (Operation.READ, "backhaul.claims"),
        (Operation.READ, "backhaul.ledger.0"),
        (Operation.READ, "backhaul.submit"),
        (Operation.READ, "backhaul.dead"),
        (Operation.READ, "backhaul.events"),
        (Operation.READ, "backhaul.live"),
        (Operation.WRITE, "backhaul.events"),
        (Operation.WRITE, "backhaul.live"),
        (Operation.WRITE, "backhaul.tasks"),
        (Operation.WRITE, "backhaul.control"),
        (Operation.WRITE, "backhaul.replies"),
        (Operation.WRITE, ""),
        (Operation.CONFIGURE, "backhaul.tasks.talk"),
        (Operation.CONFIGURE, "backhaul.claims"),
        (Operation.CONFIGURE, "mine"),
    ],
    "gateway": [
        (Operation.READ, "backhaul.tasks.talk"),
        (Operation.READ, "backhaul.ledger.0"),
        (Operation.READ, "backhaul.claims"),
        (Operation.READ, "backhaul.on.ears.hear"),
        (Operation.WRITE, "backhaul.replies"),
        (Operation.CONFIGURE, "backhaul.submit"),
        (Operation.CONFIGURE, "backhaul.dead"),
    ],
    "ledger": [
        (Operation.READ, "orders"),
        (Operation.WRITE, "orders"),
        (Operation.CONFIGURE, "orders"),
    ],
}


@pytest.mark.parametrize("user", FORBIDDEN)
async def test_what_a_user_needs_is_allowed_and_what_it_must_not_is_refused(urls: Mapping[str, str], user: str) -> None:
    needed = set(NEEDS[user].samples())
    forbidden = {Permission(*each) for each in FORBIDDEN[user]}

    facts = await inspect_broker(urls[user], needed | forbidden)

    assert facts.forbidden == forbidden


async def test_who_may_write_what_it_may_not_read_is_refused_the_reading_alone(urls: Mapping[str, str]) -> None:
    reading, writing = (Permission(each, "backhaul.control") for each in (Operation.READ, Operation.WRITE))

    facts = await inspect_broker(urls["gateway"], [reading, writing])

    assert facts.forbidden == {reading}


async def test_what_roles_ask_for_when_they_start_is_what_their_users_may(urls: Mapping[str, str]) -> None:
    asked = {
        "gateway": needed_to_serve(gateway=True, ledger=False),
        "ledger": needed_to_serve(gateway=False, ledger=True),
        "talk": needed_to_work([talk]),
        "ears": needed_to_work([ears]),
    }

    missing = {
        user: await lacking(Settings.model_validate({"amqp_url": urls[user]}), needed, "test")
        for user, needed in asked.items()
    }
    of_another = await lacking(Settings.model_validate({"amqp_url": urls["talk"]}), asked["ears"], "test")

    assert missing == {user: [] for user in asked}
    assert of_another == ["read backhaul.on.ears.doctor"]


@pytest.mark.parametrize(("user", "role"), [("gateway", "gateway"), ("ledger", "ledger"), ("talk", "worker")])
async def test_the_doctor_says_of_each_user_that_it_may_be_its_role(
    urls: Mapping[str, str], user: str, role: str
) -> None:
    settings = Settings.model_validate({"amqp_url": urls[user]})

    asked_of_the_role = await examine(settings, role)
    asked_of_any = await examine(settings, None)

    for found in (asked_of_the_role, asked_of_any):
        permissions = next(finding for finding in found if finding.about == "permissions")
        assert permissions.severity is Severity.OK, permissions.fact
        assert role in permissions.fact


async def test_a_worker_cannot_read_what_another_service_is_to_do(urls: Mapping[str, str]) -> None:
    async with await aio_pika.connect(urls["talk"]) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("backhaul.tasks.ears", ensure=False)

        with pytest.raises(ChannelClosed, match=r"access to queue 'backhaul\.tasks\.ears' .* refused"):
            await queue.get(fail=False)


async def test_a_worker_cannot_publish_events(urls: Mapping[str, str]) -> None:
    async with await aio_pika.connect(urls["talk"]) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("backhaul.events", ensure=False)

        with pytest.raises(ChannelClosed, match=r"access to exchange 'backhaul\.events' .* refused"):
            await exchange.publish(aio_pika.Message(b"{}"), "task.talk.say.succeeded")
