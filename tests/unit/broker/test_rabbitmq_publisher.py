"""Publishing to RabbitMQ, over a connection that only notes what is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backhaul.broker.rabbitmq import publisher as publishing
from backhaul.broker.rabbitmq.errors import ACCESS_REFUSED, ChannelLost
from backhaul.broker.rabbitmq.link import Backoff
from backhaul.broker.rabbitmq.publisher import Publisher
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message

REFUSED = ChannelLost(
    ACCESS_REFUSED, f"ACCESS_REFUSED - access to exchange '{topology.CLAIMS}' in vhost '/' refused for user 'w'"
)


@dataclass
class Line:
    """Link and session in one: always there, and each channel opens at once."""

    sent: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    broker: str = "RabbitMQ"
    complaint: str = "RabbitMQ is gone"
    blocked: str | None = None
    frame_max: int = 131_072

    @property
    def now(self) -> "Line":
        return self

    @property
    def wire(self) -> Any:
        return SimpleNamespace(send=self.sent.put_nowait)

    @property
    def lost(self) -> Any:
        return SimpleNamespace(done=lambda: False)

    async def session(self) -> "Line":
        return self

    async def channel(self, user: object, *, confirms: bool) -> Any:
        assert user is not None
        assert confirms
        return SimpleNamespace(number=1, error=None)

    async def drain(self) -> None:
        """It takes everything at once."""


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
async def publisher(line: Line, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Publisher]:
    """One that is ready, and feels whenever it has nothing else to do."""

    async def at_once(_: Backoff) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(publishing, "_FEEL", 0.01)
    monkeypatch.setattr(Backoff, "wait", at_once)
    publisher = Publisher(cast(Any, line), timeout=timedelta(seconds=5), on_ready=lambda: None, feels=topology.CLAIMS)
    running = asyncio.create_task(publisher.run())
    await publisher.ready.wait()
    yield publisher
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_who_may_publish_again_feels_again_whether_messages_are_taken(publisher: Publisher, line: Line) -> None:
    assert b"backhaul.nowhere" in await line.sent.get()
    publisher.on_lost(REFUSED)
    await publisher.ready.wait()

    claim = Message(exchange=topology.CLAIMS, routing_key="1", body=b"{}", content_type="")
    publish = asyncio.create_task(publisher.publish([claim]))
    assert b"backhaul.nowhere" not in await line.sent.get()
    publisher.on_confirm(1, multiple=False, taken=True)
    await publish

    async with asyncio.timeout(5):
        assert b"backhaul.nowhere" in await line.sent.get()
