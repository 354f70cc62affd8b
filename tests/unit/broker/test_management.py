"""What answers where the management API of RabbitMQ should be, and is something else."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from backhaul.broker.rabbitmq.management import Management
from backhaul.core.errors import ConfigurationError
from backhaul.core.findings import Severity
from backhaul.settings import Settings
from backhaul.wiring.doctor import managed

Answer = Callable[[str], bytes]
AMQP = "amqp://user:secret@127.0.0.1/%2F"


def answer(body: str, *headers: str, status: str = "200 OK", media: str = "application/json") -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"content-type: {media}",
        f"content-length: {len(body)}",
        "connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", body]).encode()


@asynccontextmanager
async def answering(what: Answer) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(what(head.split()[1].decode()))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def a_node(*headers: str) -> Answer:
    told = {"/api/overview": {"rabbitmq_version": "3.12.1"}, "/api/nodes": [{"name": "rabbit@a", "running": True}]}
    return lambda path: answer(json.dumps(told.get(path, [])), *headers)


STRANGERS = {
    "a page": (answer("<html>Sign in</html>", media="text/html"), "is answered with text/html, and makes no sense"),
    "another shape": (answer('{"version": 3}'), "and makes no sense): correct BACKHAUL_RABBITMQ_MANAGEMENT_URL"),
    "a list": (answer("[1, 2]"), "and makes no sense"),
    "a version that is none": (answer('{"rabbitmq_version": "new"}'), "and makes no sense"),
    "nothing": (answer("null"), "and makes no sense"),
    "elsewhere": (
        answer("", "location: https://sso.example/", status="302 Found"),
        "sends us elsewhere (302 to https://sso.example/): name the management API itself",
    ),
    "a page of an error": (
        answer("<html>" + "x" * 5000, status="502 Bad Gateway", media="text/html"),
        "refuses GET /api/overview (502: Bad Gateway): look at",
    ),
    "a reason": (
        answer('{"error": "Object Not Found", "reason": "no vhost"}', status="404 Not Found"),
        "(404: no vhost)",
    ),
}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_it_is_told_in_one_sentence(stranger: str) -> None:
    said, told = STRANGERS[stranger]

    async with answering(lambda _: said) as url:
        with pytest.raises(ConfigurationError) as raised:
            async with Management(url, AMQP) as management:
                await management.release()
        found = await managed.examine(Settings.model_validate({"amqp_url": AMQP, "rabbitmq_management_url": url}))

    assert told in str(raised.value)
    assert len(str(raised.value)) < 300
    assert [(each.severity, each.remedy) for each in found] == [(Severity.WARNING, str(raised.value))]


@pytest.mark.parametrize("url", ["host:15672", "amqp://host", "http://", "http://host:99999999/"])
async def test_what_is_no_url_of_it_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write BACKHAUL_RABBITMQ_MANAGEMENT_URL as http"):
        Management(url, AMQP)


@pytest.mark.parametrize("headers", [(), ("date: at noon",)])
async def test_who_tells_no_time_has_no_clock_to_judge(headers: tuple[str, ...]) -> None:
    async with answering(a_node(*headers)) as url:
        found = await managed.examine(Settings.model_validate({"amqp_url": AMQP, "rabbitmq_management_url": url}))

    assert "nodes" in {each.about for each in found}
    assert "clock" not in {each.about for each in found}
