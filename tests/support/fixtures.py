"""Test servers as fixtures. A missing server skips its tests, loudly; in CI it fails them."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import TypeVar

import pytest
import pytest_asyncio

from tests.support.databases import create_database, drop_database
from tests.support.missing import ServerMissingError
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.rabbitmq import PrivateRabbitMQ
from tests.support.servers import (
    PostgreSQLServer,
    RabbitMQServer,
    own_postgresql,
    own_rabbitmq,
    postgresql,
    rabbitmq,
)

REQUIRE = "BACKHAUL_TEST_REQUIRE_SERVERS"

_missing = pytest.StashKey[set[str]]()


Server = TypeVar("Server")


@pytest.fixture(scope="session")
def rabbitmq_server(request: pytest.FixtureRequest) -> Iterator[RabbitMQServer]:
    """The session's broker, shared by all tests: work in a vhost of your own (`amqp_url`)."""
    with closing(provided(request.config, rabbitmq)) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server(request: pytest.FixtureRequest) -> Iterator[PostgreSQLServer]:
    """The session's database server, shared by all tests: work in a database of your own (`database_url`)."""
    with closing(provided(request.config, lambda: postgresql(fsync=False))) as server:
        yield server


@pytest.fixture
async def amqp_url(rabbitmq_server: RabbitMQServer) -> AsyncIterator[str]:
    """The URL of a vhost that holds nothing of ours."""
    url = await rabbitmq_server.create_vhost()
    yield url
    await rabbitmq_server.drop_vhost(url)


@pytest.fixture
async def database_url(postgresql_server: PostgreSQLServer) -> AsyncIterator[str]:
    """The URL of a new, empty database."""
    url = await create_database(postgresql_server.url)
    yield url
    await drop_database(postgresql_server.url, url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_amqp_url(rabbitmq_server: RabbitMQServer) -> AsyncIterator[str]:
    """As `amqp_url`, for all tests of a module: what is dear to start is started once."""
    url = await rabbitmq_server.create_vhost()
    yield url
    await rabbitmq_server.drop_vhost(url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_database_url(postgresql_server: PostgreSQLServer) -> AsyncIterator[str]:
    """As `database_url`, for all tests of a module."""
    url = await create_database(postgresql_server.url)
    yield url
    await drop_database(postgresql_server.url, url)


@pytest.fixture(scope="session")
def spare_rabbitmq() -> Iterator[list[PrivateRabbitMQ]]:
    """The broker that the last module is done with, if it is there: it is made new in a tenth of a second, and another
    one takes seconds to start."""
    spare: list[PrivateRabbitMQ] = []
    yield spare
    for broker in spare:
        broker.close()


@pytest.fixture(scope="module")
def private_rabbitmq(
    request: pytest.FixtureRequest, spare_rabbitmq: list[PrivateRabbitMQ]
) -> Iterator[PrivateRabbitMQ]:
    """A broker of this test module's own, running and empty, to stop, kill and freeze."""
    broker = spare_rabbitmq.pop() if spare_rabbitmq else provided(request.config, _own_rabbitmq)
    broker.start()
    try:
        yield broker
        broker.renew()
    except BaseException:
        broker.close()
        raise
    spare_rabbitmq.append(broker)


@pytest.fixture(scope="module")
def strict_rabbitmq(request: pytest.FixtureRequest) -> Iterator[PrivateRabbitMQ]:
    """A broker of this test module's own that closes the channel of who keeps a delivery for longer than 3 s."""
    with provided(request.config, lambda: _own_rabbitmq(acknowledgement_timeout=timedelta(seconds=3))) as server:
        yield server


@pytest.fixture(scope="module")
def managed_rabbitmq(request: pytest.FixtureRequest) -> Iterator[PrivateRabbitMQ]:
    """A broker of this test module's own, with its management API."""
    with provided(request.config, lambda: _own_rabbitmq(management=True)) as server:
        yield server


@pytest.fixture(scope="module")
def private_postgresql(request: pytest.FixtureRequest) -> Iterator[PrivatePostgreSQL]:
    """A database server of this test module's own, running and with fsync, to stop, kill and freeze."""
    with provided(request.config, _own_postgresql) as server:
        yield server


def _own_rabbitmq(*, acknowledgement_timeout: timedelta | None = None, management: bool = False) -> PrivateRabbitMQ:
    broker = own_rabbitmq(acknowledgement_timeout=acknowledgement_timeout, management=management)
    if broker is None:
        raise ServerMissingError(
            "no RabbitMQ that tests may kill: install the package rabbitmq-server, or start Docker"
        )
    return broker


def _own_postgresql() -> PrivatePostgreSQL:
    database = own_postgresql()
    if database is None:
        raise ServerMissingError("no PostgreSQL that tests may kill: install the package postgresql, or start Docker")
    return database


def provided(config: pytest.Config, make: Callable[[], Server]) -> Server:
    try:
        return make()
    except ServerMissingError as missing:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{missing} ({REQUIRE} is set)", pytrace=False)
        config.stash.setdefault(_missing, set()).add(str(missing))
        pytest.skip(str(missing))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line for what was left untested, too loud to be overlooked."""
    if missing := config.stash.get(_missing, set()):
        terminalreporter.write_line(f"NOT TESTED: {'; '.join(sorted(missing))}", red=True, bold=True)
