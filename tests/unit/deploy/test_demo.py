"""The demo in the containers, as far as it goes without an engine."""

import asyncio
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from backhaul import Service
from backhaul.testing import Harness
from tests.support.compose import ROOT

PROGRAM = ROOT / "deploy/compose/demo.py"
DEMO = runpy.run_path(str(PROGRAM), run_name="demo")

Engine = Callable[[str], dict[str, str]]


class Text(BaseModel):
    model_config = ConfigDict(extra="allow")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A stand-in for `docker`, as a script of the shell: the environment in which it is found."""

    def called(script: str) -> dict[str, str]:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    return called


@pytest.mark.usefixtures("blocking_allowed")
def test_an_engine_that_refuses_is_told_of_in_one_line(engine: Engine) -> None:
    environment = engine("echo 'no such service: proxy' >&2; exit 14")

    finished = subprocess.run([sys.executable, PROGRAM], check=False, capture_output=True, text=True, env=environment)

    assert finished.returncode == 1
    assert "failed: no such service: proxy: look at `docker compose ps --all`" in finished.stderr
    assert finished.stderr.count("\n") == 1


@pytest.mark.usefixtures("blocking_allowed")
def test_the_proxy_is_found_at_the_port_that_compose_has_given_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = engine("""case "$*" in *"port proxy 8080") echo 127.0.0.1:9000;; *) exit 1;; esac""")
    monkeypatch.setenv("PATH", environment["PATH"])

    assert DEMO["address"]() == "http://127.0.0.1:9000"


@pytest.mark.usefixtures("blocking_allowed")
def test_a_service_without_containers_cannot_be_killed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", engine("exit 0")["PATH"])

    with pytest.raises(DEMO["DockerFailed"], match=r"^there is no container of digest: `make up` starts them all$"):
        DEMO["kill"]("digest", 0)


async def test_short_tasks_never_crowd_a_slow_worker() -> None:
    service = Service("digest", version="1.0.0", slots=100)
    started: asyncio.Queue[None] = asyncio.Queue()
    go_on = asyncio.Event()

    @service.handler(DEMO["KIND"], timeout="1m")
    async def summarise(text: Text) -> dict[str, Any]:
        started.put_nowait(None)
        await go_on.wait()
        return text.model_dump()

    async with Harness(service) as platform, asyncio.timeout(30):
        enough = asyncio.Event()
        crowd = asyncio.create_task(DEMO["crowd"](platform.client, enough))
        for _ in range(DEMO["AT_A_TIME"]):
            await started.get()
        waiting = [task async for task in platform.client.list()]
        enough.set()
        go_on.set()
        histories = await crowd

    assert len(waiting) == len(histories) == DEMO["AT_A_TIME"]
    assert [fault for task, events in histories for fault in DEMO["faults_of"](task, events)] == []
