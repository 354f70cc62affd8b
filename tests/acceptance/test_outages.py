"""A server is missing or goes away."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from backhaul.store import upgrade
from tests.acceptance.deployment import Deployment, answers
from tests.support.ports import free_port
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
async def test_a_role_that_needs_a_missing_broker_waits_and_says_for_what(
    role: list[str], database_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(upgrade, database_url)
    environment = {
        **os.environ,
        "BACKHAUL_AMQP_URL": NOWHERE,
        "BACKHAUL_DATABASE_URL": database_url,
        "BACKHAUL_PORT": str(port := free_port()),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    log = tmp_path / "log"

    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "backhaul", *role], env=environment, stdout=output, stderr=output
        )
    try:
        down = await named_by_readiness(port)
        process.terminate()
        code = await asyncio.to_thread(process.wait, 30)
    finally:
        process.kill()

    said = log.read_text()
    assert (down, code) == (["broker"], 0)
    assert said.count("refuses the connection: start it, or correct BACKHAUL_AMQP_URL") == 1
    assert "127.0.0.1:1" in said
    assert "secret" not in said
    assert "Traceback" not in said


async def named_by_readiness(port: int) -> list[str]:
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        while True:
            try:
                answer = await http.get(f"http://127.0.0.1:{port}/readyz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)  # there is no event to await: the process is not up yet
            else:
                return list(answer.json()["down"])
