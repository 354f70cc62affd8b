"""RabbitMQ turns us away, or takes a permission from us, while we run: it is said once, and over when it is mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

import pytest
from yarl import URL

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.readiness import lacks_broker
from backhaul.settings import Settings
from backhaul.wiring.startup import Startup
from tests.conformance.broker.ground import acking, connected, message, to, until
from tests.support.proxy import Proxy
from tests.support.rabbitmq import PrivateRabbitMQ

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


@asynccontextmanager
async def running(url: str) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(url, name="refused", heartbeat=timedelta(seconds=1))
    await broker.start()
    await broker.declare(topology.platform(1))
    await broker.declare(Topology(queues=(Queue("orders"),)))
    yield broker
    await broker.stop()


async def change_password(server: PrivateRabbitMQ, name: str, password: str) -> None:
    await server.evaluate(f'rabbit_auth_backend_internal:change_password(<<"{name}">>, <<"{password}">>, <<"tests">>)')


async def publishes(broker: RabbitBroker) -> bool:
    with suppress(BrokerUnavailable):
        await broker.publish([to(topology.EVENTS, "task.a.started", b"{}", mandatory=False)])
    return broker.refuses is None


def said(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.message for record in caplog.records if words in record.message]


async def test_a_permission_to_publish_that_is_taken_away_is_named_until_it_is_back(
    private_rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    url = await private_rabbitmq.create_user("publisher", **EVERYTHING)
    async with running(url) as broker:
        await private_rabbitmq.create_user("publisher", configure=".*", write="^backhaul.claims$", read=".*")
        await private_rabbitmq.drop_connections()  # channels remember for a while what was allowed
        await connected(broker)

        for _ in range(3):
            with pytest.raises(BrokerUnavailable):
                await broker.publish([to(topology.EVENTS, "task.a.started", b"{}", mandatory=False)])
        lacking = lacks_broker(broker)
        await private_rabbitmq.create_user("publisher", **EVERYTHING)
        await until(partial(publishes, broker), "what is permitted again works")

    assert lacking == "The broker does not permit all of our work (publishing to backhaul.events)"
    assert lacks_broker(broker) != lacking
    assert len(said(caplog, "refuses what is published (403 ACCESS_REFUSED")) == 1
    assert said(caplog, "refuses what is published")[0].endswith(
        ": `rabbitmqctl set_permissions`, with the patterns of docs/production.md"
    )
    assert len(said(caplog, "publishing to backhaul.events is well again")) == 1


@pytest.mark.parametrize("way", ["consume", "subscribe"])
async def test_a_permission_to_read_that_is_taken_away_is_named_until_it_is_back(
    private_rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    async def handle(delivery: object) -> None:
        """Done."""

    url = await private_rabbitmq.create_user(f"{way}r", **EVERYTHING)
    async with running(url) as broker:
        await (
            broker.consume("orders", acking, credit=1)
            if way == "consume"
            else broker.subscribe("orders", handle, credit=1)
        )
        await private_rabbitmq.create_user(f"{way}r", configure=".*", write=".*", read="^backhaul")
        await private_rabbitmq.drop_connections()

        await until(partial(_is, lambda: broker.refuses, "consuming orders"), "the refusal is named")
        await private_rabbitmq.create_user(f"{way}r", **EVERYTHING)
        await until(partial(_is, lambda: broker.refuses, None), "it is over when it is mended")
        await broker.publish([message(b"x", queue="orders")])

    assert len(said(caplog, "ACCESS_REFUSED")) == 1


async def test_a_password_that_is_changed_is_said_once_and_tried_again(
    private_rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    url = await private_rabbitmq.create_user("rotated", **EVERYTHING)
    async with running(url) as broker:
        await change_password(private_rabbitmq, "rotated", "another")
        await private_rabbitmq.drop_connections()

        await until(partial(_is, lambda: broker.blocked, "it does not accept our user and password"), "it is named")
        lacking = lacks_broker(broker)
        await until(partial(_told, broker, "does not accept user 'rotated' with this password"), "publishers are told")
        await change_password(private_rabbitmq, "rotated", URL(url).password or "")
        await connected(broker)
        after = lacks_broker(broker)

    assert lacking == "The broker takes no messages (it does not accept our user and password)"
    assert after is None
    assert len(said(caplog, "does not accept user")) == 1


async def test_who_waited_for_a_broker_that_turns_it_away_ends(private_rabbitmq: PrivateRabbitMQ) -> None:
    there = URL(private_rabbitmq.url)
    proxy = Proxy(there.host or "", there.port or 0)
    url = str(there.with_port(proxy.port).with_password("wrong"))
    broker = RabbitBroker(url, name="late")
    startup = Startup("ledger", asyncio.Event(), None)
    settings = Settings.model_validate({"amqp_url": url})

    opening = asyncio.create_task(startup.open_broker(broker, settings, nothing, required=True))
    await until(partial(_tried, broker), "it was tried in vain")
    await proxy.open()
    async with asyncio.timeout(30):
        with pytest.raises(ConfigurationError, match="does not accept user 'backhaul' with this password"):
            await opening

    await broker.stop()
    await proxy.close()


async def nothing() -> list[str]:
    return []


async def _is(look: object, expected: str | None) -> bool:
    return callable(look) and look() == expected


async def _told(broker: RabbitBroker, words: str) -> bool:
    with pytest.raises(BrokerUnavailable) as raised:
        await broker.publish([message(b"x", queue="orders")])
    return words in str(raised.value)


async def _tried(broker: RabbitBroker) -> bool:
    return broker._supervisor.publishing.tried.is_set()
