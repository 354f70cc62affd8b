"""Hearing a queue over FastStream while the broker is away."""

import asyncio
import logging

import pytest
from yarl import URL

from backhaul.broker.rabbitmq import subscriber
from backhaul.broker.rabbitmq.link import Backoff
from tests.support.deadlines import within


class _Away:
    """Instead of a hearing: it cannot be reached, for one reason after the other."""

    reasons: list[Exception]
    exhausted: asyncio.Event

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def start(self) -> None:
        if not self.reasons:
            self.exhausted.set()
            await asyncio.Event().wait()
        raise self.reasons.pop(0)

    async def close(self) -> None:
        pass


async def _at_once(_: Backoff) -> None:
    await asyncio.sleep(0)


async def _never(_: object) -> None:
    raise AssertionError("nothing arrives")


async def test_the_reason_for_which_a_queue_cannot_be_heard_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscriber, "Hearing", _Away)
    monkeypatch.setattr(Backoff, "wait", _at_once)
    _Away.exhausted = asyncio.Event()
    _Away.reasons = [OSError("refused"), OSError("refused"), StopAsyncIteration(), OSError("refused")]
    caplog.set_level(logging.WARNING)

    async with within(), asyncio.TaskGroup() as group:
        heard = subscriber.Subscriber(URL("amqp://nobody"), "orders", _never, credit=1, spawn=group.create_task)
        hearing = group.create_task(heard.run())
        await _Away.exhausted.wait()
        hearing.cancel()

    told = [record.getMessage().removeprefix("subscribing to orders failed: ") for record in caplog.records]
    assert told == ["refused", "the broker hung up", "refused"]
