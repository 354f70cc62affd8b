"""Servers given by URL. Of RabbitMQ we may assume AMQP alone: no vhost can be made, so ours is emptied."""

import os
from collections.abc import Mapping

import aio_pika

from backhaul.core.messages.topology import platform, task_queues
from tests.support.deadlines import within

AMQP_URL = "BACKHAUL_TEST_AMQP_URL"
DATABASE_URL = "BACKHAUL_TEST_DATABASE_URL"

# AMQP cannot list queues: these are the ones that tests may leave.
_MOST_SHARDS = 8
_TASK_QUEUES = ("demo", "digest", "linkcheck", "probe", "test", "thumbnail")


class GivenRabbitMQ:
    """A broker that others run. Its vhost belongs to the tests while they run: name one made for them."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def create_vhost(self) -> str:
        """The given URL, its vhost without the queues and exchanges of Backhaul."""
        topologies = (platform(_MOST_SHARDS), task_queues(_TASK_QUEUES))
        async with within(), await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            for topology in topologies:
                for queue in topology.queues:
                    await channel.queue_delete(queue.name)
                for exchange in topology.exchanges:
                    await channel.exchange_delete(exchange.name)
        return self.url

    async def drop_vhost(self, url: str) -> None:
        """Nothing: the next test empties it, and what the last one leaves can be looked at."""

    def close(self) -> None:
        """Nothing: the server is not ours."""


class GivenPostgreSQL:
    """A server that others run; its user may create databases."""

    def __init__(self, url: str) -> None:
        self.url = url

    def close(self) -> None:
        """Nothing: the server is not ours."""


def given_rabbitmq(environment: Mapping[str, str] = os.environ) -> GivenRabbitMQ | None:
    """The broker named in the environment, or None."""
    url = environment.get(AMQP_URL)
    return GivenRabbitMQ(url) if url else None


def given_postgresql(environment: Mapping[str, str] = os.environ) -> GivenPostgreSQL | None:
    """The database server named in the environment, or None."""
    url = environment.get(DATABASE_URL)
    return GivenPostgreSQL(url) if url else None
