"""Webhook endpoints through the client, on the whole platform in memory, with a real receiver."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backhaul import Service
from backhaul.client import Client, Conflict, InvalidRequest, NotFound, WebhookDelivery
from backhaul.testing import Harness
from tests.support.receiver import Receiver, status

service = Service("test")


@service.handler("test.double")
async def double(n: int) -> int:
    return 2 * n


@pytest.fixture
async def platform() -> AsyncIterator[Harness]:
    async with Harness(service, settings={"webhook_schedule": "0s"}) as platform:
        yield platform


async def settled(platform: Harness, id: str) -> WebhookDelivery:
    """The only delivery there, once it is pending no more."""
    while True:
        found = [delivery async for delivery in platform.client.webhooks.deliveries(id)]
        if found and found[0].state != "pending":
            return found[0]
        await platform.clock.sleep(timedelta(milliseconds=20))


async def test_an_endpoint_is_added_changed_and_removed(platform: Harness, receiver: Receiver) -> None:
    webhooks = platform.client.webhooks

    added = await webhooks.add(receiver.url, events=["task.started"], description="mine")
    changed = await webhooks.change(added.id, events=["task.succeeded"], description=None)
    rotated = await webhooks.rotate_secret(added.id, overlap="1h")
    await webhooks.test(added.id)
    call = await receiver.call()
    listed = [endpoint async for endpoint in webhooks.list()]
    found = await webhooks.get(added.id)
    await webhooks.remove(added.id)

    assert (changed.events, changed.description, changed.url) == (["task.succeeded"], None, receiver.url)
    assert call.verified(added.secret or "") == call.verified(rotated.secret or "")
    assert listed == [found]
    with pytest.raises(NotFound):
        await webhooks.get(added.id)


async def test_what_was_sent_is_listed_by_endpoint_and_by_task_and_sent_again(
    platform: Harness, receiver: Receiver
) -> None:
    webhooks = platform.client.webhooks
    receiver.answers.append(status(500))
    added = await webhooks.add(receiver.url)
    task = await platform.submit("test.double", 1)

    failed = await settled(platform, added.id)
    again = await webhooks.redeliver(failed)
    delivered = await settled(platform, task.id)

    assert (failed.state, again.id) == ("failed", failed.id)
    assert (delivered.id, delivered.state, len(delivered.attempts)) == (failed.id, "delivered", 2)


async def test_refusals_are_errors(platform: Harness, receiver: Receiver) -> None:
    webhooks = platform.client.webhooks
    added = await webhooks.add(receiver.url)
    await webhooks.change(added.id, enabled=False)

    with pytest.raises(Conflict):
        await webhooks.test(added.id)
    with pytest.raises(InvalidRequest):
        await webhooks.add("ftp://hooks.example/")


async def test_the_client_that_blocks_has_them_too(platform: Harness, receiver: Receiver) -> None:
    def use() -> list[object]:
        with Client(platform.url) as client:
            added = client.webhooks.add(receiver.url)
            client.webhooks.change(added.id, description="mine")
            client.webhooks.rotate_secret(added.id)
            sent = client.webhooks.test(added.id)
            found = [delivery.id for delivery in client.webhooks.deliveries(added.id)]
            client.webhooks.redeliver(sent)
            described = [endpoint.description for endpoint in client.webhooks.list()]
            got = client.webhooks.get(added.id).id
            client.webhooks.remove(added.id)
            return [found == [sent.id], described, got == added.id, list(client.webhooks.list())]

    assert await asyncio.to_thread(use) == [True, ["mine"], True, []]
