"""A server is missing or goes away."""

import asyncio
import os
import subprocess
import sys

import httpx
import pytest

from tests.acceptance.deployment import Deployment, answers
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(150)

NOWHERE = "amqp://guest:secret@127.0.0.1:1/"


async def test_tasks_are_accepted_while_the_broker_is_down_and_run_in_their_order_when_it_is_back(
    private_rabbitmq: PrivateRabbitMQ, database_url: str
) -> None:
    async with Deployment(private_rabbitmq.url, database_url) as deployment:
        deployment.ledger()
        deployment.worker(BACKHAUL_HEARTBEAT="1s")
        gateway = await deployment.gateway()
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])

        await asyncio.to_thread(private_rabbitmq.stop)
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            bodies = [{"kind": "probe.echo", "input": {"value": str(number)}} for number in range(20)]
            accepted = [await client.post("/v1/tasks", json=body) for body in bodies]
            down = (await client.get("/readyz")).json()
        await asyncio.to_thread(private_rabbitmq.start)

        done = await answers(
            f"{gateway.url}/v1/tasks?status=succeeded", lambda page: len(page["data"]) == len(accepted)
        )
    assert [response.status_code for response in accepted] == [202] * 20
    assert (down["ready"], down["accepting"], down["down"]) == (False, True, ["broker"])
    in_order = sorted(done["data"], key=lambda task: task["id"])
    assert [task["result"]["value"] for task in in_order] == [str(number) for number in range(20)]
    starts = [task["started_at"] for task in in_order]
    assert starts == sorted(starts)
    assert {task["attempt"] for task in done["data"]} == {1}


@pytest.mark.parametrize("role", [["ledger"], ["worker", "tests.acceptance.probe:service"]])
async def test_a_role_that_needs_a_missing_broker_says_which_and_what_to_do(role: list[str], database_url: str) -> None:
    environment = {
        **os.environ,
        "BACKHAUL_AMQP_URL": NOWHERE,
        "BACKHAUL_DATABASE_URL": database_url,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([sys.executable, "-m", "backhaul.cli", "db", "upgrade"], env=environment, check=True, timeout=60)

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "backhaul.cli", *role],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert "127.0.0.1:1" in last
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
