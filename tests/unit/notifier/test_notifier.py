"""The role, over a real store and a real receiver."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backhaul.core.clock import SystemClock
from backhaul.core.errors import ConfigurationError
from backhaul.core.ports.webhooks import Delivery, DeliveryQuery, Endpoint
from backhaul.core.sealing import Vault
from backhaul.core.task.commands import Cancel
from backhaul.core.task.record import RawJson
from backhaul.core.task.transitions import Rules
from backhaul.core.webhooks import new_secret
from backhaul.notifier import Notifier
from backhaul.notifier.post import Answer, Post
from backhaul.settings import Settings
from backhaul.store import SqlStore, open_store
from backhaul.wiring.platform import Platform
from backhaul_contracts.ids import TaskId, new_id
from tests.conformance.store.given import draft
from tests.support.deadlines import within
from tests.support.receiver import Receiver, receiving, status

KEY = "k" * 32
VAULT = Vault(KEY)
SECRET = new_secret()
SETTINGS: dict[str, Any] = {"webhook_allow_private": True, "webhook_schedule": "0s,1ms,1ms,1ms"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    rules = Rules(retention=timedelta(hours=1), draw=lambda: 0.5)
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}", clock=SystemClock(), rules=rules)
    await store.start()
    yield store
    await store.stop()


def notifier(store: SqlStore, vault: Vault = VAULT, **settings: Any) -> Notifier:
    return Notifier(store, vault, settings=Settings(**{**SETTINGS, **settings}), clock=SystemClock())


@asynccontextmanager
async def at_work(*notifiers: Notifier) -> AsyncIterator[None]:
    running = [asyncio.create_task(one.run()) for one in notifiers]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def ended(store: SqlStore, url: str, *, secret: str | None = SECRET) -> TaskId:
    sealed = None if secret is None else VAULT.seal(secret)
    webhook = RawJson(json.dumps({"url": url, "events": ["task.cancelled"], "secret": sealed}))
    made = draft(webhook=webhook)
    await store.accept([made])
    await store.advance([Cancel(made.record.id, None)])
    return made.record.id


async def settled(store: SqlStore, task_id: TaskId, *, tried: int = 1) -> Delivery:
    """The only delivery of the task, once it was tried so often."""
    async with within():
        while True:
            (delivery,) = await store.deliveries(DeliveryQuery("default", task_id=task_id))
            if len(json.loads(delivery.tries)) >= tried:
                return delivery
            await asyncio.sleep(0.02)


async def test_many_notifiers_share_the_work_and_send_nothing_twice(store: SqlStore, receiver: Receiver) -> None:
    task_ids = [await ended(store, receiver.url) for _ in range(30)]

    async with at_work(notifier(store), notifier(store), notifier(store)):
        calls = [await receiver.call() for _ in task_ids]
        deliveries = [await settled(store, task_id) for task_id in task_ids]

    assert {call.verified(SECRET)["data"]["id"] for call in calls} == set(task_ids)
    assert {delivery.state for delivery in deliveries} == {"delivered"}
    assert receiver.calls.empty()


async def test_without_a_secret_of_its_own_a_webhook_is_signed_with_that_of_the_tenant(
    store: SqlStore, receiver: Receiver
) -> None:
    await ended(store, receiver.url, secret=None)

    async with at_work(notifier(store)):
        call = await receiver.call()

    secret = VAULT.open(await store.tenant_secret("default", "unused"))
    assert call.verified(secret)["type"] == "task.cancelled"


async def test_a_receiver_that_is_down_gets_its_webhook_when_it_is_up(store: SqlStore) -> None:
    async with receiving() as down:
        port = down.port
    task_id = await ended(store, f"http://127.0.0.1:{port}/hooks")

    async with at_work(notifier(store, webhook_schedule="0s" + ",20ms" * 50)):
        await settled(store, task_id, tried=2)
        async with receiving(port) as up:
            call = await up.call()

    assert call.verified(SECRET)["data"]["id"] == task_id


async def test_a_receiver_that_does_not_answer_delays_nobody_else(store: SqlStore, receiver: Receiver) -> None:
    async with receiving() as mute:
        mute.answers.extend([None] * 40)
        for _ in range(40):
            await ended(store, mute.url)
        task_id = await ended(store, receiver.url)

        async with at_work(notifier(store)):
            call = await receiver.call()
            calls = mute.calls.qsize()

    assert call.verified(SECRET)["data"]["id"] == task_id
    assert calls <= 10


async def test_one_that_is_asked_to_end_hands_back_what_it_is_sending(store: SqlStore, receiver: Receiver) -> None:
    receiver.answers.append(None)
    task_id = await ended(store, receiver.url)
    async with at_work(notifier(store)):
        first = await receiver.call()

    async with at_work(notifier(store)):
        second = await receiver.call()
        delivery = await settled(store, task_id)

    assert (second.id, second.body) == (first.id, first.body)
    assert [one["status"] for one in json.loads(delivery.tries)] == [200]


async def test_what_a_dead_one_was_sending_is_sent_by_another_when_its_lease_is_over(
    store: SqlStore, receiver: Receiver
) -> None:
    task_id = await ended(store, receiver.url)
    (held,) = await store.take_mail(10, {}, 10, timedelta(milliseconds=300))  # and never heard of again

    async with at_work(notifier(store)):
        call = await receiver.call()
        delivery = await settled(store, task_id)

    assert call.id == held.id
    assert delivery.state == "delivered"


async def test_a_private_address_is_refused_at_the_moment_of_connecting(store: SqlStore, receiver: Receiver) -> None:
    task_id = await ended(store, receiver.url)

    async with at_work(notifier(store, webhook_allow_private=False, webhook_schedule="0s")):
        delivery = await settled(store, task_id)

    (attempt,) = json.loads(delivery.tries)
    assert delivery.state == "failed"
    assert "BACKHAUL_WEBHOOK_ALLOW_PRIVATE" in attempt["error"]
    assert receiver.calls.empty()


async def test_what_was_sealed_under_another_key_is_not_sent_and_says_so(store: SqlStore, receiver: Receiver) -> None:
    task_id = await ended(store, receiver.url)

    async with at_work(notifier(store, Vault("another key, " * 4), webhook_schedule="0s")):
        delivery = await settled(store, task_id)

    (attempt,) = json.loads(delivery.tries)
    assert "encrypted under another key" in attempt["error"]
    assert receiver.calls.empty()


async def test_an_old_secret_that_was_sealed_under_a_lost_key_keeps_no_new_one_from_signing(
    store: SqlStore, receiver: Receiver
) -> None:
    now = SystemClock().now()
    lost = Vault("another key, " * 4)
    made = Endpoint(
        id=new_id("whe"),
        tenant="default",
        url=receiver.url,
        events=("task.cancelled",),
        description=None,
        secret=VAULT.seal(SECRET),
        created_at=now,
        retired_secret=lost.seal(new_secret()),
        retired_until=now + timedelta(hours=1),
    )
    await store.add_endpoint(made, 10)
    await store.accept([task := draft()])
    await store.advance([Cancel(task.record.id, None)])

    async with at_work(notifier(store)):
        call = await receiver.call()

    assert call.verified(SECRET)["data"]["id"] == task.record.id


async def test_a_receiver_may_ask_for_time(store: SqlStore, receiver: Receiver) -> None:
    receiver.answers.append(status(429, "retry-after: 3600"))
    task_id = await ended(store, receiver.url)

    async with at_work(notifier(store)):
        delivery = await settled(store, task_id)

    assert delivery.state == "pending"
    assert delivery.next_at is not None
    assert delivery.next_at - delivery.created_at > timedelta(minutes=59)


async def test_what_nobody_foresaw_fails_one_delivery_and_none_beside_it(
    store: SqlStore, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Surprise(Exception):
        pass

    async def send(post: Post, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if url.endswith("/surprise"):
            raise Surprise
        return await usual(post, url, headers, body)

    usual = Post.send
    monkeypatch.setattr(Post, "send", send)
    surprising = await ended(store, f"{receiver.url}/surprise")

    async with at_work(notifier(store, webhook_schedule="0s")):
        failed = await settled(store, surprising)
        await ended(store, receiver.url)
        await receiver.call()

    assert failed.state == "failed"
    assert json.loads(failed.tries)[0]["error"] == "it could not be sent: a fault of the notifier, which its log shows"
    assert "Surprise" in caplog.text


async def test_without_a_secret_key_a_notifier_says_what_to_do(store: SqlStore) -> None:
    platform = Platform(store, None, settings=Settings(), clock=SystemClock())  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match="set it to what the gateways have"):
        platform.add_notifier()
    assert Settings(secret_key=SecretStr(KEY)).opened_secret_key == KEY
