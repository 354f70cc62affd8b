"""The servers that other tests stand on: real, private, new for each test, and gone afterwards."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from tests.support.databases import create_database, database_name, drop_database
from tests.support.deadlines import within
from tests.support.given import GivenRabbitMQ
from tests.support.ports import await_true, free_port, listens
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.rabbitmq import PrivateRabbitMQ, QueueDepth
from tests.support.sandbox import Sandbox
from tests.support.servers import PostgreSQLServer, RabbitMQServer

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def channel_of(url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with within(), await aio_pika.connect(url) as connection:
        yield await connection.channel()


async def query(url: str, statement: str) -> object:
    async with within():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


async def publish(channel: aio_pika.abc.AbstractChannel, queue: str, body: bytes) -> None:
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, queue)


async def declare_quorum(channel: aio_pika.abc.AbstractChannel, name: str) -> aio_pika.abc.AbstractQueue:
    return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})


async def test_a_message_published_to_the_broker_is_consumed(amqp_url: str) -> None:
    async with channel_of(amqp_url) as channel:
        queue = await declare_quorum(channel, "backhaul.probe")

        await publish(channel, queue.name, b"hello")
        message = await queue.get(timeout=5)

        assert message.body == b"hello"
        await message.ack()


async def test_each_test_gets_a_vhost_without_the_queues_of_the_last(rabbitmq_server: RabbitMQServer) -> None:
    first = await rabbitmq_server.create_vhost()
    async with channel_of(first) as channel:
        await declare_quorum(channel, "backhaul.claims")
    await rabbitmq_server.drop_vhost(first)

    second = await rabbitmq_server.create_vhost()

    async with channel_of(second) as channel:
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.declare_queue("backhaul.claims", passive=True)
    await rabbitmq_server.drop_vhost(second)


async def test_a_given_broker_is_emptied_of_what_is_ours_alone(amqp_url: str) -> None:
    async with channel_of(amqp_url) as channel:
        await declare_quorum(channel, "backhaul.claims")
        await declare_quorum(channel, "theirs")

    url = await GivenRabbitMQ(amqp_url).create_vhost()

    assert url == amqp_url
    async with channel_of(url) as channel:
        await channel.declare_queue("theirs", passive=True)
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.declare_queue("backhaul.claims", passive=True)


async def test_a_statement_is_answered_by_the_database(database_url: str) -> None:
    answer = await query(database_url, "SELECT current_database()")

    assert answer == database_name(database_url)


async def test_a_database_made_from_a_template_holds_its_tables(
    postgresql_server: PostgreSQLServer, database_url: str
) -> None:
    await query(database_url, "CREATE TABLE kept AS SELECT 42 AS answer")

    copy = await create_database(postgresql_server.url, template=database_name(database_url))

    assert await query(copy, "SELECT answer FROM kept") == 42
    await drop_database(postgresql_server.url, copy)


async def test_a_database_killed_after_a_commit_keeps_it(private_postgresql: PrivatePostgreSQL) -> None:
    await query(private_postgresql.url, "CREATE TABLE survivor AS SELECT 7 AS number")

    private_postgresql.kill()
    with pytest.raises(ConnectionRefusedError):
        await query(private_postgresql.url, "SELECT 1")
    private_postgresql.start()

    assert await query(private_postgresql.url, "SELECT number FROM survivor") == 7


async def test_a_frozen_database_answers_only_after_it_is_thawed(
    private_postgresql: PrivatePostgreSQL,
) -> None:
    private_postgresql.freeze()
    pending = asyncio.create_task(query(private_postgresql.url, "SELECT 1"))
    done, _ = await asyncio.wait([pending], timeout=0.3)
    frozen = not done

    private_postgresql.thaw()

    assert await pending == 1
    assert frozen


async def test_a_broker_killed_after_a_confirm_keeps_the_message(private_rabbitmq: PrivateRabbitMQ) -> None:
    async with channel_of(private_rabbitmq.url) as channel:
        await declare_quorum(channel, "backhaul.survivor")
        await publish(channel, "backhaul.survivor", b"kept")
    await private_rabbitmq.settle()

    private_rabbitmq.kill()
    private_rabbitmq.start()

    async with channel_of(private_rabbitmq.url) as channel:
        queue = await declare_quorum(channel, "backhaul.survivor")
        message = await queue.get(timeout=10)
        await message.ack()
        assert message.body == b"kept"


async def test_a_broker_in_memory_alarm_confirms_nothing_until_it_is_cleared(
    private_rabbitmq: PrivateRabbitMQ,
) -> None:
    async with channel_of(private_rabbitmq.url) as channel:
        queue = await declare_quorum(channel, "backhaul.alarmed")

        await private_rabbitmq.raise_memory_alarm()
        pending = asyncio.create_task(publish(channel, queue.name, b"late"))
        done, _ = await asyncio.wait([pending], timeout=0.3)
        blocked = not done
        await private_rabbitmq.clear_memory_alarm()

        await pending
        assert blocked


async def test_the_depth_of_a_queue_counts_ready_and_unacknowledged(
    private_rabbitmq: PrivateRabbitMQ,
) -> None:
    url = await private_rabbitmq.create_vhost()
    async with channel_of(url) as channel:
        queue = await channel.declare_queue("backhaul.depth", durable=True)
        await publish(channel, queue.name, b"one")
        await publish(channel, queue.name, b"two")

        message = await queue.get(timeout=5)

        assert await private_rabbitmq.queues(url) == {"backhaul.depth": QueueDepth(ready=1, unacknowledged=1)}
        await message.ack()
    await private_rabbitmq.drop_vhost(url)


async def test_dropped_connections_are_closed_from_the_broker(private_rabbitmq: PrivateRabbitMQ) -> None:
    reasons: asyncio.Queue[BaseException | None] = asyncio.Queue()
    async with within():
        connection = await aio_pika.connect(private_rabbitmq.url)
        connection.close_callbacks.add(lambda _, reason: reasons.put_nowait(reason))

        await private_rabbitmq.drop_connections()

        assert isinstance(await reasons.get(), aio_pika.exceptions.ConnectionClosed)


def test_a_broken_program_fails_with_its_own_words(tmp_path: Path) -> None:
    script = tmp_path / "rabbitmq-server"
    script.write_text("#!/bin/sh\necho cannot open the pod bay doors\nexit 1\n")
    script.chmod(0o755)

    with pytest.raises(RuntimeError, match="cannot open the pod bay doors"), PrivateRabbitMQ(script):
        pass


def test_a_sandbox_ends_its_processes_and_removes_its_folder() -> None:
    sandbox = Sandbox("test")
    process = sandbox.spawn(["sleep", "60"], env={"PATH": os.defpath}, log="log")

    sandbox.close()

    assert process.returncode == -signal.SIGKILL
    assert not sandbox.folder.exists()


def test_containers_that_are_left_go_with_the_sandbox_and_those_that_ended_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker, said = tmp_path / "docker", tmp_path / "said"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sandbox = Sandbox("test")
    for thing in ("network:net", "container:ended", "container:left"):
        sandbox.guard(thing)
    sandbox.release("container:ended")

    sandbox.close()

    assert said.read_text().splitlines() == ["rm --force --volumes left", "network rm net"]


def test_servers_end_even_when_their_owner_is_killed() -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        folder = Path(owner.stdout.readline().strip() if owner.stdout else "")
        assert listens(port)
        assert folder.is_dir()

        owner.kill()

    limit = timedelta(seconds=10)
    await_true(lambda: not listens(port), limit, lambda: "the server outlived its owner")
    await_true(lambda: not folder.exists(), limit, lambda: f"{folder} was left behind")


_OWNER = """
import sys
from datetime import timedelta
from tests.support.ports import await_true, listens
from tests.support.sandbox import Sandbox

port = int(sys.argv[1])
sandbox = Sandbox("test")
sandbox.spawn([sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(port)], env={}, log="log")
await_true(lambda: listens(port), timedelta(seconds=20), lambda: sandbox.tail("log"))
print(sandbox.folder, flush=True)
sys.stdin.readline()
"""
