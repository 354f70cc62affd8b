"""What is said when a connection to RabbitMQ cannot be opened: the broker, the fact and the remedy."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiormq.exceptions import AMQPConnectionError
from pamqp.commands import Connection
from yarl import URL

from backhaul.broker.rabbitmq.errors import Refusal, UnreadableFile, refusal
from backhaul.broker.rabbitmq.session import RefusedError, Session
from backhaul.core.errors import BrokerUnavailable, TurnedAway

MQ = URL("amqps://ledger:secret@mq.example:5671/vhost")
ALERT = b"\x15\x03\x03\x00\x02\x02\x16"


def closed(code: int, text: str) -> Connection.Close:
    return Connection.Close(reply_code=code, reply_text=text, class_id=0, method_id=0)


def untrusted(why: str) -> ssl.SSLError:
    return ssl.SSLError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why} (_ssl.c:1006)")


HOPELESS = [
    (refusal(MQ, OSError(), closed(403, "ACCESS_REFUSED")), "does not accept user 'ledger' with this password"),
    (refusal(MQ, OSError(), closed(530, "vhost x not found")), "refuses the vhost (vhost x not found): create it"),
    (refusal(MQ, untrusted("self-signed certificate")), "(self-signed certificate): add ?cafile=FILE to"),
    (refusal(MQ, untrusted("certificate has expired")), "(certificate has expired): renew it"),
    (refusal(MQ, untrusted("Hostname mismatch, certificate is not valid for 'a'.")), "write a name in BACKHAUL_AMQP"),
    (
        refusal(MQ, ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version")),
        "speaks no TLS on this port: write amqp",
    ),
    (refusal(MQ, AMQPConnectionError(), None, ALERT), "expects TLS on this port: write amqps://"),
    (refusal(MQ, AMQPConnectionError(), None, b"HTTP/1.1 400 Bad"), "does not speak AMQP 0-9-1 (it says b'HTTP/1.1"),
    (refusal(MQ, UnreadableFile("ca.pem: No such file")), "cannot be read (ca.pem: No such file): correct cafile"),
]
PASSING = [
    (refusal(MQ, TimeoutError()), "does not answer: start it"),
    (refusal(MQ, ConnectionRefusedError()), "refuses the connection: start it"),
    (refusal(MQ, AMQPConnectionError("Server connection reset")), "hangs up before the handshake is over: start it"),
    (refusal(MQ, OSError(-2, "Name or service not known")), "cannot be reached ([Errno -2] Name or service not known)"),
    (refusal(MQ, OSError(), closed(530, "connection limit (10) is reached")), "connection limit (10) is reached"),
]


@pytest.mark.parametrize(
    ("found", "told"), [*HOPELESS, *PASSING], ids=lambda each: each if isinstance(each, str) else ""
)
def test_it_is_one_sentence_without_the_password(found: Refusal, told: str) -> None:
    assert found.message.startswith("RabbitMQ at amqps://ledger:***@mq.example:5671/vhost ")
    assert told in found.message
    assert "BACKHAUL_AMQP_URL" in found.message or "`rabbitmqctl" in found.message or "renew it" in found.message
    assert "secret" not in found.message
    assert "\n" not in found.message
    assert "_ssl.c" not in found.message


@pytest.mark.parametrize("found", [found for found, _ in HOPELESS])
def test_what_no_waiting_mends_is_told_apart_and_strangers_hear_no_names(found: Refusal) -> None:
    assert isinstance(found.error(), TurnedAway)
    assert found.reason is not None
    assert not [name for name in ("ledger", "mq.example", "vhost x") if name in found.reason]


@pytest.mark.parametrize("found", [found for found, _ in PASSING])
def test_what_may_pass_is_waited_for(found: Refusal) -> None:
    assert type(found.error()) is BrokerUnavailable
    assert found.reason is None


@asynccontextmanager
async def a_port_that_says(words: bytes) -> AsyncIterator[URL]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(words)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield URL(f"amqp://backhaul:word@{host}:{port}/")


@pytest.mark.parametrize(
    ("words", "told"), [(ALERT, "expects TLS"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak AMQP")]
)
async def test_another_protocol_is_recognised_by_its_first_words(words: bytes, told: str) -> None:
    async with a_port_that_says(words) as url:
        with pytest.raises(RefusedError, match=told):
            await Session.open(url, name="test", heartbeat=timedelta(seconds=5))


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"

    with pytest.raises(RefusedError, match=r"cannot be read \(.*ca\.pem: No such file or directory\): correct cafile"):
        await Session.open(URL(f"amqps://127.0.0.1/?cafile={missing}"), name="test", heartbeat=timedelta(seconds=5))
