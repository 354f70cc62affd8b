"""`backhaul dev`: the whole platform in one process, which may die at any time."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.deployment import answers
from tests.acceptance.pace import Pace, listening
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(120)

READY_SECONDS = 10


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


def command(data: Path, port: int) -> list[str]:
    target = "tests.acceptance.probe:service"
    return [sys.executable, "-m", "backhaul", "dev", target, "--port", str(port), "--data", str(data)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def dev(data: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with (data.parent / "dev.log").open("ab") as log:
        process = subprocess.Popen(command(data, port), stderr=log, env=environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_it_is_ready_within_seconds(tmp_path: Path) -> None:
    port = free_port()
    start = time.monotonic()

    with dev(tmp_path / "data", port):
        kinds = await answers(f"http://127.0.0.1:{port}/v1/kinds", lambda body: body["data"])

    assert time.monotonic() - start < READY_SECONDS
    assert [kind["kind"] for kind in kinds["data"]] == ["probe.echo", "probe.steps"]


async def test_tasks_survive_kill_9_and_restart(tmp_path: Path, pace: Pace) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url) as client:
        with dev(tmp_path / "data", port) as process:
            await answers(f"{url}/v1/kinds", lambda body: body["data"])
            body = {"kind": "probe.steps", "input": {"port": pace.port, "count": 2}}
            running = (await client.post("/v1/tasks", json=body)).json()["id"]
            await (await pace.walker()).step()
            later = {"kind": "probe.echo", "input": {"value": "later"}, "delay": "1s"}
            waiting = (await client.post("/v1/tasks", json=later)).json()["id"]
            process.kill()
            process.wait()

        with dev(tmp_path / "data", port):
            again = await pace.walker()
            await again.step(2)
            walked = await answers(f"{url}/v1/tasks/{running}", lambda task: task["done"])
            echoed = await answers(f"{url}/v1/tasks/{waiting}", lambda task: task["done"])

    assert (walked["status"], walked["attempt"], again.attempt) == ("succeeded", 2, 2)
    assert (echoed["status"], echoed["result"]) == ("succeeded", {"value": "later"})


async def test_ctrl_c_says_what_it_waits_for_and_a_second_one_does_not_wait(tmp_path: Path, pace: Pace) -> None:
    port, log = free_port(), tmp_path / "dev.log"
    url = f"http://127.0.0.1:{port}"
    with dev(tmp_path / "data", port) as process:
        await answers(f"{url}/v1/kinds", lambda body: body["data"])
        async with httpx.AsyncClient(base_url=url) as client:
            body = {"kind": "probe.steps", "input": {"port": pace.port, "count": 2}}
            await client.post("/v1/tasks", json=body)
            await pace.walker()

        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            while "Stopping: what runs has 30 s to end. Ctrl-C again" not in log.read_text():
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)

        assert await asyncio.to_thread(process.wait, 10) == 130


async def test_a_data_folder_or_a_port_that_is_taken_is_refused_with_one_sentence(tmp_path: Path) -> None:
    port = free_port()

    async def second(data: str, port: int) -> "subprocess.CompletedProcess[str]":
        argv = command(tmp_path / data, port)
        return await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, env=environment(), timeout=30
        )

    with dev(tmp_path / "data", port):
        await answers(f"http://127.0.0.1:{port}/healthz")
        same_folder, same_port = await asyncio.gather(second("data", free_port()), second("other", port))

    assert (same_folder.returncode, same_port.returncode) == (1, 1)
    assert (same_folder.stderr.count("\n"), same_port.stderr.count("\n")) == (1, 1)
    assert "is in use by another process" in same_folder.stderr
    assert f"127.0.0.1:{port}" in same_port.stderr
