"""The programs of the guides, run as they stand there."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from backhaul import Service
from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.clock import SystemClock
from backhaul.settings import Settings
from backhaul.store import upgrade
from backhaul.testing import Harness
from backhaul.wiring import open_store
from backhaul.wiring.inprocess import in_process
from backhaul.worker import load_service
from tests.support.deadlines import within

pytestmark = pytest.mark.timeout(90)

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
HERE = "http://127.0.0.1:8080"
_PROGRAM = re.compile(r"^```\w+\n(?:#|//) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program(guide: str, name: str, url: str = HERE) -> str:
    """The program of a guide whose first line names it."""
    programs: dict[str, str] = dict(_PROGRAM.findall((GUIDES / guide).read_text()))
    return programs[name].replace(HERE, url)


def services(guide: str, module: str, names: tuple[str, ...], folder: Path) -> list[Service]:
    (folder / f"{module}.py").write_text(program(guide, f"{module}.py"))
    return [load_service(f"{module}:{name}") for name in names]


async def output(*command: str, **environment: str) -> str:
    """What a program prints."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )
    async with asyncio.timeout(40):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def hello(folder: Path) -> Iterator[Service]:
    yield services("over-http.md", "hello", ("service",), folder)[0]
    sys.modules.pop("hello", None)


async def test_curl_shows_the_whole_stream_and_then_the_same_task(hello: Service) -> None:
    async with Harness(hello) as platform:
        stream = await output("sh", "-c", program("over-http.md", "stream.sh", platform.url))
        task = json.loads(await output("sh", "-c", program("over-http.md", "wait.sh", platform.url)))

    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "task.succeeded"
    assert events[-1]["data"] == {"result": 2}
    assert (task["id"], task["result"]) == (events[0]["task_id"], 2)


async def test_the_python_client_shows_output_and_result(hello: Service) -> None:
    async with Harness(hello) as platform:
        shown = await output(sys.executable, "-c", program("over-http.md", "order.py", platform.url))

    assert shown == "Hello Ada!\nHello Grace!\n2 greeted\n"


async def test_javascript_shows_output_and_result(hello: Service, folder: Path) -> None:
    node = shutil.which("node")
    if node is None:  # the machine has no toolchain for it
        pytest.skip("no Node.js to run the guide's program with")
    async with Harness(hello) as platform:
        (folder / "order.mjs").write_text(program("over-http.md", "order.mjs", platform.url))
        shown = await output(node, str(folder / "order.mjs"))

    assert shown == "Hello Ada!\nHello Grace!\n2 greeted\n"


async def test_a_direct_publisher_is_told_of_the_end(hello: Service, amqp_url: str, database_url: str) -> None:
    async with on_rabbitmq(hello, amqp_url, database_url):
        source = program("over-the-broker.md", "publish.py")
        shown = await output(sys.executable, "-c", source, BACKHAUL_AMQP_URL=amqp_url)

    assert shown == "dev.backhaul.task.accepted None\ndev.backhaul.task.succeeded 2\n"


async def test_a_service_calls_another_and_a_third_one_hears_of_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = services("service-to-service.md", "shop", ("packing", "shop", "sales"), folder)
    async with Harness(*three) as platform:
        task = await platform.submit("shop.order", {"items": ["tea", "honey"]}, key="order-1")
        result = await task.result(timeout="20s")
        shown = ""
        async with within():
            while "\n" not in shown:
                shown += capsys.readouterr().out
                await asyncio.sleep(0)
        kinds = sorted([found.state.kind async for found in platform.client.list(limit=10)])

    sys.modules.pop("shop")
    assert (result, shown) == (800, "shop.order succeeded, order-1: 800 g\n")
    assert kinds == ["packing.pack", "packing.pack", "shop.order", "shop.thank"]


@asynccontextmanager
async def on_rabbitmq(service: Service, amqp_url: str, database_url: str) -> AsyncIterator[None]:
    clock, settings = SystemClock(), Settings(drain_grace=timedelta(seconds=1))
    await asyncio.to_thread(upgrade, database_url)
    store = open_store(settings, clock, url=database_url)
    broker = RabbitBroker(amqp_url, name="guides")
    async with in_process([service], store, broker, settings=settings, clock=clock):
        yield
