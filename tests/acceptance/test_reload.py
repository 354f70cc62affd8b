"""`backhaul dev --reload`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.deployment import answers
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(60)

SERVICE = """
from backhaul import Service

service = Service("greet", version="1.0.0")


@service.handler("greet.{name}")
async def greet(name: str) -> str:
    return f"Hello {{name}}"
"""


async def test_a_changed_service_is_served_anew(tmp_path: Path) -> None:
    port = free_port()
    module = tmp_path / "greeting.py"
    module.write_text(SERVICE.format(name="before"))
    command = ["dev", "greeting:service", "--reload", "--port", str(port), "--data", ":memory:"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-m", "backhaul", *command], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        await answers(f"http://127.0.0.1:{port}/v1/kinds", lambda body: body["data"])

        module.write_text(SERVICE.format(name="after"))

        found = await answers(
            f"http://127.0.0.1:{port}/v1/kinds", lambda body: [kind["kind"] for kind in body["data"]] == ["greet.after"]
        )
        assert found["data"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(15) in (0, 130)
