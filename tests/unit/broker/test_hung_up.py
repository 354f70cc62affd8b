"""A node, or a proxy in front of one, that takes connections and ends them before it has said anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiormq.connection import FrameReceiver
from yarl import URL

from backhaul.broker.rabbitmq.hearing import HEARING_ERRORS, Hearing
from backhaul.broker.rabbitmq.session import RefusedError, Session

_HEADER = 8


@asynccontextmanager
async def a_node_that_hangs_up() -> AsyncIterator[URL]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(_HEADER)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield URL(f"amqp://backhaul:word@{host}:{port}/")


@pytest.fixture(autouse=True)
def late_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is busy for a moment: the connection has ended when it looks for the first frame."""
    read = FrameReceiver.get_frame

    async def late(receiver: FrameReceiver) -> object:
        async with asyncio.timeout(5):
            while not receiver.reader.at_eof() and receiver.reader.exception() is None:
                await asyncio.sleep(0)
        return await read(receiver)

    monkeypatch.setattr(FrameReceiver, "get_frame", late)


async def test_a_session_says_that_it_was_hung_up_on() -> None:
    async with a_node_that_hangs_up() as url:
        with pytest.raises(
            RefusedError, match=r"hangs up before the handshake is over: start it, or correct BACKHAUL_AMQP_URL"
        ) as caught:
            await Session.open(url, name="test", heartbeat=timedelta(seconds=5))

    assert not caught.value.refusal.final


async def test_hearing_fails_as_it_does_for_a_node_that_is_down() -> None:
    async with a_node_that_hangs_up() as url:
        hearing = Hearing(url, "queue", 1, on_delivery=lambda *_: None, on_end=lambda *_: None)

        with pytest.raises(HEARING_ERRORS):
            await hearing.start()

        await hearing.close()
