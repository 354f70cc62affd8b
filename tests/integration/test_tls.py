"""RabbitMQ over TLS, with the certificate of a private authority."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from yarl import URL

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Delivery
from tests.conformance.broker.ground import message
from tests.support.certificates import Certificates, certificates
from tests.support.fixtures import provided
from tests.support.missing import ServerMissingError
from tests.support.rabbitmq import PrivateRabbitMQ, installed_rabbitmq

SHARED = certificates()


@pytest.fixture(scope="module")
def encrypted(request: pytest.FixtureRequest) -> Iterator[PrivateRabbitMQ]:
    with provided(request.config, _with_tls) as server:
        yield server


def _with_tls() -> PrivateRabbitMQ:
    if installed_rabbitmq() is None:
        raise ServerMissingError("no RabbitMQ with TLS: install the package rabbitmq-server")
    return PrivateRabbitMQ(tls=SHARED)


def trusting(server: PrivateRabbitMQ, folder: Path, trusted: Certificates) -> str:
    """The URL of who trusts that authority alone."""
    path = folder / "ca.pem"
    path.write_text(trusted.authority)
    return str(URL(server.tls_url).with_query(cafile=str(path)))


async def test_with_the_authority_all_is_as_without_tls(encrypted: PrivateRabbitMQ, tmp_path: Path) -> None:
    broker = RabbitBroker(trusting(encrypted, tmp_path, SHARED), name="test")
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(delivery: Delivery) -> None:
        heard.put_nowait(delivery.body)

    await broker.start()
    await broker.declare(Topology(queues=(Queue("one"), Queue("two"))))
    await broker.consume("one", lambda delivery: heard.put_nowait(delivery.body), credit=1)
    await broker.subscribe("two", hear, credit=1)
    await broker.publish([message(b"x" * 300_000, queue="one"), message(b"y", queue="two")])

    async with asyncio.timeout(20):
        assert {await heard.get(), await heard.get()} == {b"x" * 300_000, b"y"}
    await broker.stop()


async def test_a_server_of_another_authority_is_not_trusted(encrypted: PrivateRabbitMQ, tmp_path: Path) -> None:
    broker = RabbitBroker(trusting(encrypted, tmp_path, certificates()), name="test")

    with pytest.raises(BrokerUnavailable, match=r"not trusted here .* add \?cafile=FILE to") as raised:
        await broker.start()

    assert tmp_path.name not in str(raised.value)
