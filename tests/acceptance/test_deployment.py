"""The promises of the whole, on real servers and real processes."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, answers
from tests.acceptance.pace import Pace, listening
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(150)

SHORT_LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@pytest.fixture
async def deployment(amqp_url: str, database_url: str) -> AsyncIterator[Deployment]:
    async with Deployment(amqp_url, database_url, **SHORT_LEASE) as deployment:
        yield deployment


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


async def knows_probe(url: str) -> None:
    await answers(f"{url}/v1/kinds", lambda body: any(kind["kind"] == "probe.steps" for kind in body["data"]))


async def submit(url: str, kind: str, input: Any) -> str:
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/v1/tasks", json={"kind": kind, "input": input})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def sse(url: str, task_id: str, after: int, until: int | None = None) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream, until it closes, or until the one with `seq` = `until` has come."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as client,
        client.stream("GET", f"/v1/tasks/{task_id}/events", headers={"Last-Event-ID": str(after)}) as response,
    ):
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                yield event
                if event["seq"] == until:
                    return


def output_of(events: Sequence[dict[str, Any]]) -> str:
    return "".join(event["data"]["delta"] for event in events if event["type"] == "task.output")


async def test_a_publisher_without_our_code_submits_over_the_broker_and_hears_of_the_success(
    deployment: Deployment, amqp_url: str
) -> None:
    deployment.ledger()
    deployment.worker()
    gateway = await deployment.gateway()
    await knows_probe(gateway.url)

    script = Path(__file__).with_name("raw_publisher.py")
    said = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(script), amqp_url, "probe.echo", '{"value": "hello"}'],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert said.returncode == 0, said.stderr
    event = json.loads(said.stdout)
    assert event["type"] == "dev.backhaul.task.succeeded"
    assert event["data"]["result"] == {"value": "hello"}
    tasks = await answers(f"{gateway.url}/v1/tasks?key={event['data']['key']}")
    assert [task["id"] for task in tasks["data"]] == [event["subject"]]


async def test_a_stream_cut_by_the_death_of_its_gateway_goes_on_at_another_without_gap_or_repeat(
    deployment: Deployment, pace: Pace
) -> None:
    deployment.ledger()
    deployment.worker()
    doomed, other = await deployment.gateway(), await deployment.gateway()
    await knows_probe(doomed.url)
    task_id = await submit(doomed.url, "probe.steps", {"port": pace.port, "count": 6})
    walker = await pace.walker()
    await walker.step(3)
    seen: list[dict[str, Any]] = []

    async def watch_until_cut() -> None:
        async for event in sse(doomed.url, task_id, after=0):
            seen.append(event)
            if output_of(seen).count("step") == 3:
                doomed.kill()

    with pytest.raises(httpx.TransportError):
        await watch_until_cut()
    await walker.step(3)
    seen += [event async for event in sse(other.url, task_id, after=seen[-1]["seq"])]

    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1]["type"] == "task.succeeded"
    assert output_of(seen) == "".join(f"step {n}\n" for n in range(1, 7))


async def test_a_ledger_killed_in_mid_task_is_replaced_without_a_second_attempt(
    deployment: Deployment, pace: Pace
) -> None:
    doomed = deployment.ledger()
    deployment.worker()
    gateway = await deployment.gateway()
    await knows_probe(gateway.url)
    task_id = await submit(gateway.url, "probe.steps", {"port": pace.port, "count": 2})
    walker = await pace.walker()
    await walker.step()

    doomed.kill()
    await walker.step()
    deployment.ledger()
    events = [event async for event in sse(gateway.url, task_id, after=0)]

    assert [event["type"] for event in events].count("task.started") == 1
    assert events[-1]["data"]["result"]["attempt"] == 1


async def test_a_worker_that_an_operator_drains_finishes_its_work_and_its_process_ends(
    deployment: Deployment, pace: Pace
) -> None:
    deployment.ledger()
    leaving = deployment.worker()
    gateway = await deployment.gateway()
    await knows_probe(gateway.url)
    task_id = await submit(gateway.url, "probe.steps", {"port": pace.port, "count": 1})
    walker = await pace.walker()
    [worker] = (await answers(f"{gateway.url}/v1/workers"))["data"]

    drained = await deployment.run("workers", "drain", worker["id"], BACKHAUL_URL=gateway.url)
    await leaving.says("is asked to leave")
    late = await submit(gateway.url, "probe.echo", {"value": "late"})
    await walker.step()
    code = await asyncio.to_thread(leaving.wait)

    assert (drained.returncode, drained.stdout) == (0, f"worker {worker['id']} is draining\n")
    assert code == 0
    task = await answers(f"{gateway.url}/v1/tasks/{task_id}")
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
    assert (await answers(f"{gateway.url}/v1/tasks/{late}"))["status"] == "queued"
    assert (await answers(f"{gateway.url}/v1/workers"))["data"] == []


async def test_a_ledger_and_a_worker_tell_health_and_numbers_where_a_port_is_set(deployment: Deployment) -> None:
    ports = {"ledger": free_port(), "worker": free_port()}
    deployment.ledger(BACKHAUL_PORT=str(ports["ledger"]))
    deployment.worker(BACKHAUL_PORT=str(ports["worker"]))

    for port in ports.values():
        assert await answers(f"http://127.0.0.1:{port}/healthz") == {"status": "ok"}
        assert await answers(f"http://127.0.0.1:{port}/readyz") == {"ready": True, "down": [], "misfits": []}
    own = {"ledger": "backhaul_leases_lapsed_total 0", "worker": 'backhaul_worker_slots{service="probe"}'}
    for role, port in ports.items():
        async with httpx.AsyncClient() as client:
            numbers = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert f'role="{role}"' in numbers
        assert 'backhaul_up{part="broker"} 1' in numbers
        assert own[role] in numbers
