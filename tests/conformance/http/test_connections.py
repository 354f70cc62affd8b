"""What comes over a raw connection: clients that are old, odd, slow or hostile."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from backhaul.core.deadlines import Deadline
from backhaul.gateway.http import request
from backhaul.wiring import connection
from tests.conformance.http.stage import Stage

SUBMISSION = b'{"kind":"digest.summarise","input":{"text":"One."}}'
POST = b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"Connection: close\r\n"
WISHES_FOR_A_WEBSOCKET = (
    b"Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def answer(stage: Stage, *parts: bytes) -> bytes:
    """All that the server says to `parts`, sent one by one, until it closes."""
    async with connected(stage) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()


@asynccontextmanager
async def connected(stage: Stage) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw connection to the server, for at most 5 seconds."""
    host, port = (await stage.serve()).removeprefix("http://").split(":")
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.close()


def statuses(said: bytes) -> Sequence[int]:
    """The status of every answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


async def test_http_1_0_is_spoken(stage: Stage) -> None:
    said = await answer(stage, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")

    assert statuses(said) == [200]


async def test_a_peer_that_has_vanished_is_not_kept_for_long(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []
    made = connection.Connection.connection_made

    def noted(self: connection.Connection, transport: asyncio.Transport) -> None:
        accepted = transport.get_extra_info("socket")
        limits.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        made(self, transport)

    monkeypatch.setattr(connection.Connection, "connection_made", noted)

    await answer(stage, GET + CLOSE + b"\r\n")

    assert limits == [60_000]


async def test_requests_that_come_at_once_are_answered_in_order(stage: Stage) -> None:
    submit = POST + b"Content-Length: %d\r\n\r\n%b" % (len(SUBMISSION), SUBMISSION)

    said = await answer(stage, submit + b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET + CLOSE + b"\r\n")

    assert statuses(said) == [202, 404, 200]


async def test_a_body_in_chunks_is_read(stage: Stage) -> None:
    head = POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"

    said = await answer(stage, head, b"7\r\n%b\r\n" % SUBMISSION[:7], b"%x\r\n%b\r\n0\r\n\r\n" % (44, SUBMISSION[7:]))

    assert statuses(said) == [202]


async def test_who_asks_first_whether_to_send_the_body_is_told(stage: Stage) -> None:
    small = POST + CLOSE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SUBMISSION)
    large = POST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"

    assert statuses(await answer(stage, small, SUBMISSION)) == [100, 202]
    assert statuses(await answer(stage, large)) == [413]


@pytest.mark.parametrize("chunked", [False, True])
async def test_who_sends_far_too_much_and_listens_only_then_is_told(stage: Stage, chunked: bool) -> None:
    parts = [b"x" * 100_000] * 80

    async with httpx.AsyncClient(base_url=await stage.serve(), trust_env=False) as client:
        answer = await client.post("/v1/tasks", content=_one_by_one(parts) if chunked else b"".join(parts))

    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


async def test_who_sends_a_body_too_slowly_is_told_and_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "_UPLOAD", Deadline(timedelta(milliseconds=50)))

    said = await answer(stage, POST + b"Content-Length: 10\r\n\r\n{")

    assert statuses(said) == [400]
    assert b"connection: close" in said


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        POST + b"Content-Length: many\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        POST + b"Idempotency-Key: a\x00b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_400(stage: Stage, request_bytes: bytes) -> None:
    assert statuses(await answer(stage, request_bytes)) == [400]


async def test_a_call_that_would_be_a_websocket_is_404_like_any_that_does_not_exist(stage: Stage) -> None:
    said = await answer(stage, b"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n" + WISHES_FOR_A_WEBSOCKET + b"\r\n", b"")

    assert statuses(said) == [404]
    assert b'"code":"not_found"' in said


async def test_only_a_get_becomes_a_websocket(stage: Stage) -> None:
    said = await answer(stage, b"POST /v1/ws HTTP/1.1\r\nHost: localhost\r\n" + WISHES_FOR_A_WEBSOCKET + b"\r\n", b"")

    assert statuses(said) == [405]


@pytest.mark.parametrize(
    "wish", [CLOSE, b"Upgrade: h2c\r\nConnection: Upgrade, close\r\n", b"Upgrade: websocket\r\n" + CLOSE]
)
async def test_where_a_websocket_is_a_plain_get_is_told_to_ask_for_one(stage: Stage, wish: bytes) -> None:
    said = await answer(stage, b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\n" + wish + b"\r\n")

    assert statuses(said) == [426]
    assert b"upgrade: websocket\r\n" in said
    assert b'"code":"upgrade_required"' in said


async def test_a_handshake_with_a_header_beyond_measure_is_refused(stage: Stage) -> None:
    head = b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nX-Long: %b\r\n" % (b"y" * 10_000)

    said = await answer(stage, head + WISHES_FOR_A_WEBSOCKET + b"\r\n")

    assert statuses(said) == [431]


WISHES_FOR_HTTP_2 = (
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
)


async def test_who_would_like_http_2_keeps_the_body_and_the_connection(stage: Stage) -> None:
    """As Java's `HttpClient` asks with its first request, whatever that is."""
    submit = POST + WISHES_FOR_HTTP_2 + b"Content-Length: %d\r\n\r\n%b" % (len(SUBMISSION), SUBMISSION)

    said = await answer(
        stage, submit[:-9], submit[-9:] + submit + GET + WISHES_FOR_HTTP_2 + b"\r\n" + GET + CLOSE + b"\r\n"
    )

    assert statuses(said) == [202, 202, 200, 200]


async def test_any_number_of_wishes_for_another_protocol_may_come_at_once(stage: Stage) -> None:
    wishes = (GET + WISHES_FOR_HTTP_2 + b"\r\n") * 1_200

    said = await answer(stage, wishes + GET + CLOSE + b"\r\n")

    assert statuses(said) == [200] * 1_201


async def test_a_body_counts_for_nothing_in_the_head_behind_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_HEAD", 400)
    text = b'{"kind":"digest.summarise","input":{"text":"%b"}}' % (b"x" * 1_000)
    submit = POST + b"Content-Length: %d\r\n\r\n%b" % (len(text), text)

    async with connected(stage) as (reader, writer):
        writer.write(submit + GET)
        said = await reader.readuntil(b"}}")
        writer.write(CLOSE + b"\r\n")
        said += await reader.read()

    assert statuses(said) == [202, 200]


async def test_who_goes_on_and_on_with_a_body_that_nobody_reads_is_let_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_PATIENCE", timedelta(milliseconds=50))

    said = await answer(stage, b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n", b"x")

    assert statuses(said) == [404]


@pytest.mark.parametrize("part", [b"", b"GET", GET, POST[:30]])
async def test_a_head_that_does_not_end_is_not_waited_for_long(
    stage: Stage, part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_PATIENCE", timedelta(milliseconds=50))

    assert await answer(stage, part) == b""


async def test_a_head_beyond_all_measure_is_refused(stage: Stage) -> None:
    lines = [b"X-%d: %b\r\n" % (n, b"y" * 1_000) for n in range(70)]

    assert statuses(await answer(stage, GET, *lines)) == [400]


async def test_patience_ends_with_the_head(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_PATIENCE", timedelta(milliseconds=50))
    task = await stage.submit()

    async with stage.follow(task["links"]["events"]) as stream:
        await stream.event()
        await asyncio.wait_for(_after(timedelta(milliseconds=100)), 5)
        await stage.run(task["id"], {})

        assert [event["event"] for event in await stream.rest()] == ["task.started", "task.succeeded"]


async def _one_by_one(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _after(length: timedelta) -> None:
    """Return when the loop has let `length` pass."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(length.total_seconds(), passed.set)
    await passed.wait()
