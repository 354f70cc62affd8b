"""The report on a whole platform in memory, over services that are played, and once over the real ones."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from backhaul import Context, Fail, Service
from backhaul.broker.memory import MemoryBroker
from backhaul.client import TaskFailed
from backhaul.testing import Harness
from backhaul.wiring.platform import build_workers
from backhaul.worker import Worker
from digest.service import service as digest
from linkcheck.service import service as linkcheck
from report.service import service
from tests.unit.linkcheck.site import open_site
from tests.unit.thumbnail.pictures import picture, written
from thumbnail.service import service as thumbnail

TEXT = """\
# Rivers

A flood happens when a river overflows its banks. Read [more](/more) on it.

![A <b>flood</b>](/flood.png)
"""
INPUT = {"text": TEXT, "title": "On rivers", "base": "http://rivers.example"}


class Others:
    """The services that a report calls. `gate` holds them up; what is in `broken` fails."""

    def __init__(self) -> None:
        self.service = Service("others", version="1.0.0")
        self.runs: list[str] = []
        self.inputs: dict[str, Any] = {}
        self.broken: set[str] = set()
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        sentence = {"text": "A flood <happens>.", "position": 1, "score": 0.9}
        self._plays("digest.summarise", {"sentences": [sentence], "total": 2})
        link = {"url": "http://rivers.example/more", "ok": False, "status": 404, "error": None}
        self._plays("linkcheck.check", {"links": [link], "totals": {"checked": 1, "broken": 1, "redirected": 0}})
        small = {"data": "AAAA", "file": None}
        self._plays("thumbnail.render", {"width": 9, "height": 6, "format": "webp", "thumbnails": [small]})

    def _plays(self, kind: str, result: Any) -> None:
        @self.service.handler(kind)
        async def play(input: dict[str, Any], ctx: Context) -> dict[str, Any]:
            self.runs.append(kind)
            self.inputs[kind] = input
            if len(self.runs) == 3:
                self.begun.set()
            await self.gate.wait()
            if kind in self.broken:
                raise Fail("away", f"{kind} is out of order")
            return dict(result)


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
async def platform(others: Others) -> AsyncIterator[Harness]:
    async with Harness(others.service, settings={"lease": "1s", "heartbeat": "0.2s"}) as opened:
        yield opened


def report_worker(platform: Harness) -> tuple[Worker, MemoryBroker]:
    """A worker with a connection of its own, as a process has."""
    broker = MemoryBroker(platform.broker.hub, clock=platform.clock)
    [worker] = build_workers([service], broker, settings=platform.settings, clock=platform.clock)
    return worker, broker


async def test_what_three_services_say_becomes_one_report_with_progress(others: Others) -> None:
    others.gate.set()
    async with Harness(service, others.service) as platform:
        task = await platform.submit("report.write", INPUT)
        result = await task.result(timeout="20s")
        progress = [event.data async for event in task.events(after=0) if event.type == "task.progress"]

    assert others.inputs["linkcheck.check"] == {"document": TEXT, "base": "http://rivers.example"}
    assert others.inputs["thumbnail.render"]["url"] == "http://rivers.example/flood.png"
    assert (result["format"], result["failed"]) == ("markdown", 0)
    assert [section["kind"] for section in result["sections"]] == [
        "digest.summarise",
        "linkcheck.check",
        "thumbnail.render",
    ]
    for said in ("# On rivers", "> A flood \\<happens\\>.", "- <http://rivers.example/more>: 404", "base64,AAAA)"):
        assert said in result["report"]
    assert [(step["done"], step["total"]) for step in progress] == [(0, 3), (1, 3), (2, 3), (3, 3)]


async def test_a_report_in_html_lets_no_markup_of_strangers_through(others: Others) -> None:
    others.gate.set()
    async with Harness(service, others.service) as platform:
        task = await platform.submit("report.write", {**INPUT, "title": "<script>", "format": "html"})
        page = (await task.result(timeout="20s"))["report"]

    assert "<title>&lt;script&gt;</title>" in page
    assert "<script>" not in page
    assert "<b>" not in page
    assert '<img src="data:image/webp;base64,AAAA"' in page


async def test_a_section_that_cannot_be_written_says_so_and_leaves_the_others(others: Others) -> None:
    others.gate.set()
    others.broken = {"linkcheck.check"}
    async with Harness(service, others.service) as platform:
        task = await platform.submit("report.write", INPUT)
        result = await task.result(timeout="20s")

    assert result["failed"] == 1
    assert [section["error"] for section in result["sections"]] == [None, "away", None]
    assert "*Not available: linkcheck.check is out of order*" in result["report"]


async def test_without_any_service_to_call_the_report_fails_with_a_reason() -> None:
    async with Harness(service) as platform:
        task = await platform.submit("report.write", INPUT)
        with pytest.raises(TaskFailed) as failed:
            await task.result(timeout="20s")

    assert failed.value.failure
    assert failed.value.failure.code == "nothing_written"
    assert "digest.summarise: unknown_kind" in str(failed.value.failure.detail)


async def test_a_report_whose_worker_is_killed_goes_on_elsewhere_and_starts_no_part_twice(
    platform: Harness, others: Others
) -> None:
    first, connection = report_worker(platform)
    await connection.start()
    killed = asyncio.create_task(first.run(stop=asyncio.Event()))
    await first.announced.wait()
    task = await platform.submit("report.write", INPUT)
    async with asyncio.timeout(20):
        await others.begun.wait()

    connection.lose()
    killed.cancel()
    await asyncio.wait([killed])
    await connection.stop()
    second, connection = report_worker(platform)
    await connection.start()
    stop = asyncio.Event()
    run = asyncio.create_task(second.run(stop=stop))
    others.gate.set()
    result = await task.result(timeout="30s")
    stop.set()
    await run
    await connection.stop()

    assert sorted(others.runs) == ["digest.summarise", "linkcheck.check", "thumbnail.render"]
    assert (result["failed"], (await task.refresh()).attempt) == (0, 2)


async def test_the_real_services_write_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKCHECK_ALLOW_PRIVATE", "true")
    monkeypatch.setenv("THUMBNAIL_ALLOW_PRIVATE", "true")
    async with open_site() as site:
        site.answers("/more")
        site.behaves("/flood.png", served)
        async with Harness(service, digest, linkcheck, thumbnail) as platform:
            task = await platform.submit("report.write", {**INPUT, "base": site.url("/")})
            result = await task.result(timeout="45s")

    assert result["failed"] == 0
    assert "> A flood happens when a river overflows its banks." in result["report"]
    assert "2 checked, 0 broken, 0 redirected." in result["report"]
    assert "(data:image/webp;base64," in result["report"]
    assert "40 x 20 pixels." in result["report"]


async def served(method: str) -> bytes:
    """A picture, as a site answers with it."""
    file = written(picture(40, 20), "PNG")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n" % len(file)
    return head if method == "HEAD" else head + file
