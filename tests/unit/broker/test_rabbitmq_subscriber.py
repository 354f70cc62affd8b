"""Hearing a queue over FastStream while the broker is away."""

import asyncio
import logging
from collections.abc import Callable

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


class _Open:
    """Instead of a hearing: it is open until it is closed or lost."""

    open: set["_Open"]

    def __init__(self, *_: object, on_end: Callable[["_Open"], None], **__: object) -> None:
        self.held = 0
        self._on_end = on_end

    def lose(self) -> None:
        self.open.discard(self)
        self._on_end(self)

    async def start(self) -> None:
        self.open.add(self)

    async def leave(self) -> None:
        self.open.discard(self)

    async def close(self) -> None:
        self.open.discard(self)


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


async def test_a_new_credit_while_the_connection_is_restored_makes_one_hearing_and_not_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pausing, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_: Backoff) -> None:
        pausing.set()
        await go_on.wait()

    monkeypatch.setattr(subscriber, "Hearing", _Open)
    monkeypatch.setattr(Backoff, "wait", wait)
    _Open.open = set()

    async with within(), asyncio.TaskGroup() as group:
        heard = subscriber.Subscriber(URL("amqp://nobody"), "orders", _never, credit=1, spawn=group.create_task)
        hearing = group.create_task(heard.run())
        await heard.tried()
        (first,) = _Open.open
        first.lose()
        await pausing.wait()
        await heard.resize(lambda: 5)
        go_on.set()
        await heard.tried()
        restored = set(_Open.open)
        await heard.cancel()
        await asyncio.wait((hearing,))

    assert len(restored) == 1
    assert not _Open.open
