"""One RabbitMQ and one PostgreSQL: given by URL, else installed and started here, else in containers.

With `BACKHAUL_TEST_CONTAINERS=1` (`make test-containers`) what is installed is passed over.

For benchmarks and scripts, run from the project's folder (`python -m bench.…`):

    with servers() as (amqp_url, database_url):
        ...
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Protocol

from tests.support.containers import ContainerPostgreSQL, ContainerRabbitMQ, containers_are_wanted, docker_answers
from tests.support.given import AMQP_URL, DATABASE_URL, given_postgresql, given_rabbitmq
from tests.support.missing import ServerMissingError
from tests.support.postgresql import PrivatePostgreSQL, installed_postgresql
from tests.support.rabbitmq import PrivateRabbitMQ, installed_rabbitmq


class RabbitMQServer(Protocol):
    """A running broker."""

    @property
    def url(self) -> str:
        """The URL of a vhost to work in."""
        ...

    async def create_vhost(self) -> str:
        """The URL of a vhost that holds nothing of ours."""
        ...

    async def drop_vhost(self, url: str) -> None:
        """Give a vhost back."""
        ...

    def close(self) -> None:
        """End the server, if it is ours."""
        ...


class PostgreSQLServer(Protocol):
    """A running database server, on whose `url` others can be created (`tests.support.databases`)."""

    @property
    def url(self) -> str:
        """The URL of a database to work in."""
        ...

    def close(self) -> None:
        """End the server, if it is ours."""
        ...


def rabbitmq() -> RabbitMQServer:
    """A running broker; the caller closes it.

    :raises ServerMissingError: none is given, installed or to be had from Docker.
    """
    if given := given_rabbitmq():
        return given
    if broker := own_rabbitmq():
        broker.start()
        return broker
    raise ServerMissingError(f"no RabbitMQ: install the package rabbitmq-server, start Docker, or set {AMQP_URL}")


def postgresql(*, fsync: bool = True) -> PostgreSQLServer:
    """A running database server; the caller closes it. `fsync` counts for one that is started here.

    :raises ServerMissingError: none is given, installed or to be had from Docker.
    """
    if given := given_postgresql():
        return given
    if database := own_postgresql(fsync=fsync):
        database.start()
        return database
    raise ServerMissingError(f"no PostgreSQL: install the package postgresql, start Docker, or set {DATABASE_URL}")


def own_rabbitmq(
    *, acknowledgement_timeout: timedelta | None = None, management: bool = False
) -> PrivateRabbitMQ | None:
    """A broker of our own, to be started, or None: installed here, else in a container."""
    if installed_rabbitmq() is not None and not containers_are_wanted():
        return PrivateRabbitMQ(acknowledgement_timeout=acknowledgement_timeout, management=management)
    return ContainerRabbitMQ(acknowledgement_timeout=acknowledgement_timeout) if docker_answers() else None


def own_postgresql(*, fsync: bool = True) -> PrivatePostgreSQL | None:
    """A database server of our own, to be started, or None: installed here, else in a container."""
    if installed_postgresql() is not None and not containers_are_wanted():
        return PrivatePostgreSQL(fsync=fsync)
    return ContainerPostgreSQL(fsync=fsync) if docker_answers() else None


@contextmanager
def servers(*, fsync: bool = True) -> Iterator[tuple[str, str]]:
    """The URLs of both, `(amqp_url, database_url)`; what was started for it ends with the block.

    Servers started here are new and empty; given ones are as they are.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(closing(rabbitmq()))
        database = stack.enter_context(closing(postgresql(fsync=fsync)))
        yield broker.url, database.url
