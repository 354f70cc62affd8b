"""The broker takes nothing more, or starts anew: work goes on by itself, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.acceptance.deployment import Deployment, Role, answers, submitted, succeeded
from tests.acceptance.pace import listening
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(150)

LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(private_rabbitmq: PrivateRabbitMQ, module_database_url: str) -> AsyncIterator[Role]:
    """One deployment for all tests: it has to outlive whatever happens to its broker."""
    async with Deployment(await private_rabbitmq.create_vhost(), module_database_url, **LEASE) as deployment:
        yield await deployment.at_work()


@pytest.mark.parametrize("crash", [False, True], ids=["restart", "kill"])
async def test_a_node_that_starts_anew_costs_no_attempt_and_nothing_that_was_accepted(
    gateway: Role, private_rabbitmq: PrivateRabbitMQ, crash: bool
) -> None:
    async with listening() as pace:
        running = await submitted(gateway, "probe.steps", port=pace.port, count=2)
        walker = await pace.walker()
        await private_rabbitmq.settle()

        await asyncio.to_thread(private_rabbitmq.kill if crash else private_rabbitmq.stop)
        later = [await submitted(gateway) for _ in range(20)]
        await walker.step()
        await asyncio.to_thread(private_rabbitmq.start)
        await walker.step()

        for task_id in (running, *later):
            assert (await succeeded(gateway, task_id))["attempt"] == 1
    await answers(f"{gateway.url}/readyz")


async def test_an_alarm_that_lasts_longer_than_a_lease_costs_no_attempt(
    gateway: Role, private_rabbitmq: PrivateRabbitMQ
) -> None:
    async with listening() as pace:
        running = await submitted(gateway, "probe.steps", port=pace.port, count=2)
        walker = await pace.walker()
        await private_rabbitmq.raise_memory_alarm()
        try:
            await asyncio.sleep(6)  # it is time itself that must do no harm: two leases of it
            later = await submitted(gateway)
            down = httpx.get(f"{gateway.url}/readyz").json()
        finally:
            await private_rabbitmq.clear_memory_alarm()
        await walker.step(2)

        assert (await succeeded(gateway, running))["attempt"] == 1
        assert (await succeeded(gateway, later))["attempt"] == 1
    await answers(f"{gateway.url}/readyz")
    assert len([line for line in gateway.log.splitlines() if "takes no messages now" in line]) == 1
    assert down["down"] == ["broker"]
    assert "memory" in down["detail"]
