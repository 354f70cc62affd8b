"""The proxy, before a server that says everything back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.deadlines import within
from tests.support.ports import LOOPBACK
from tests.support.proxy import Proxy, Way

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(100):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def _server() -> AsyncIterator[int]:
    server = await asyncio.start_server(_echo, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with _server() as port:
        made = Proxy(LOOPBACK, port)
        await made.open()
        yield made
        await made.close()


async def _connected(proxy: Proxy) -> Ends:
    async with within():
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
    return reader, writer


async def test_bytes_pass_in_both_directions_and_so_does_the_end(proxy: Proxy) -> None:
    reader, writer = await _connected(proxy)

    writer.write(b"x" * 300_000)
    writer.write_eof()

    async with within():
        assert len(await reader.read(-1)) == 300_000
    writer.close()


async def test_a_cut_resets_every_connection_and_new_ones_can_be_made_at_once(proxy: Proxy) -> None:
    reader, writer = await _connected(proxy)

    proxy.cut()

    async with within():
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    writer.close()
    _, again = await _connected(proxy)
    again.close()


@pytest.mark.parametrize("way", [Way.THERE, Way.BACK, Way.BOTH])
async def test_what_is_held_arrives_in_order_when_it_is_released(proxy: Proxy, way: Way) -> None:
    reader, writer = await _connected(proxy)

    proxy.hold(way)
    for byte in b"0123456789":
        writer.write(bytes([byte]))
    answer = asyncio.ensure_future(reader.readexactly(10))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await asyncio.shield(answer)
    proxy.release()

    async with within():
        assert await answer == b"0123456789"
    writer.close()


async def test_a_new_connection_is_held_too(proxy: Proxy) -> None:
    proxy.hold()
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    writer.write(b"hello")
    answer = asyncio.ensure_future(reader.readexactly(5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await asyncio.shield(answer)

    proxy.release()

    async with within():
        assert await answer == b"hello"
    writer.close()


async def test_what_was_held_is_lost_by_a_cut(proxy: Proxy) -> None:
    reader, writer = await _connected(proxy)
    proxy.hold(Way.BACK)
    writer.write(b"lost")

    proxy.cut()
    proxy.release()

    async with within():
        with pytest.raises(ConnectionResetError):
            await reader.read(4)
    writer.close()


async def test_a_closed_proxy_refuses_until_it_is_opened_again_on_the_same_port(proxy: Proxy) -> None:
    await proxy.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, proxy.port)

    await proxy.open()

    _, writer = await _connected(proxy)
    writer.close()


async def test_a_connection_ends_when_nobody_serves_behind_the_proxy() -> None:
    async with _server() as port:
        pass
    proxy = Proxy(LOOPBACK, port)
    await proxy.open()

    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)

    async with within():
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    writer.close()
    await proxy.close()
