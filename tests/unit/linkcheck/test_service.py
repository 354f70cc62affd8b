"""The service on a whole platform in memory, against a site on real sockets."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from backhaul import Context
from backhaul.client import InvalidRequest, TaskFailed
from backhaul.testing import Harness
from linkcheck.service import MAX_LINKS, SAVE_EVERY, Links, check, service
from linkcheck.visitor import Visitor
from tests.unit.linkcheck.site import Site

KIND = "linkcheck.check"


@pytest.fixture
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    monkeypatch.setenv("LINKCHECK_ALLOW_PRIVATE", "true")
    async with Harness(service) as opened:
        yield opened


async def test_every_link_of_a_list_is_checked_and_counted(platform: Harness, site: Site) -> None:
    good, gone = site.answers("/good"), site.answers("/gone", 410)
    moved = site.answers("/moved", 301, location="/good")

    task = await platform.submit(KIND, {"urls": [good, moved, gone, good]})
    findings = await task.result(timeout="10s")

    assert [(link["url"], link["ok"], link["status"]) for link in findings["links"]] == [
        (good, True, 200),
        (moved, True, 200),
        (gone, False, 410),
    ]
    assert findings["totals"] == {"checked": 3, "ok": 2, "broken": 1, "redirected": 1}


async def test_findings_are_streamed_as_they_become_known(platform: Harness, site: Site) -> None:
    urls = [site.answers("/a"), site.answers("/b", 404)]

    task = await platform.submit(KIND, {"urls": urls})
    findings = await task.result(timeout="10s")
    events = [event async for event in task.events()]

    streamed = [event.data["delta"] for event in events if event.type == "task.output"]
    assert sorted(streamed, key=lambda link: str(link["url"])) == findings["links"]
    assert [event.data["done"] for event in events if event.type == "task.progress"][-1] == 2
    [line] = [event.data for event in events if event.type == "task.log"]
    assert (line["message"], line["level"]) == (f"{urls[1]} is broken: 404", "warning")


async def test_the_links_of_a_document_are_checked(platform: Harness, site: Site) -> None:
    site.answers("/docs/start.md")

    task = await platform.submit(KIND, {"document": "Read [this](start.md).", "base": site.url("/docs/")})
    findings = await task.result(timeout="10s")

    assert [link["url"] for link in findings["links"]] == [site.url("/docs/start.md")]


async def test_a_document_without_links_has_no_findings(platform: Harness) -> None:
    task = await platform.submit(KIND, {"document": "Nothing to see here."})

    assert await task.result(timeout="10s") == {
        "links": [],
        "totals": {"checked": 0, "ok": 0, "broken": 0, "redirected": 0},
    }


async def test_a_document_with_too_many_links_fails_for_good(platform: Harness) -> None:
    document = "\n".join(f"<https://example.org/{number}>" for number in range(MAX_LINKS + 1))

    task = await platform.submit(KIND, {"document": document})

    with pytest.raises(TaskFailed) as failed:
        await task.result(timeout="10s")
    assert failed.value.failure
    assert failed.value.failure.code == "rejected_input"


async def test_private_addresses_are_refused_by_default(site: Site) -> None:
    async with Harness(service) as platform:
        task = await platform.submit(KIND, {"urls": [site.answers("/")]})
        findings = await task.result(timeout="10s")

    assert findings["links"][0]["error"]["code"] == "refused_address"
    assert site.requests == []


@pytest.mark.parametrize(
    ("links", "pointer"),
    [
        ({}, "/input"),
        ({"urls": ["https://example.org"], "document": "…"}, "/input"),
        ({"urls": []}, "/input/urls"),
        ({"urls": ["https://example.org"] * (MAX_LINKS + 1)}, "/input/urls"),
        ({"urls": ["https://example.org", "ftp://example.org"]}, "/input/urls/1"),
        ({"urls": ["https://example.org"], "timeout": 0}, "/input/timeout"),
        ({"urls": ["https://example.org"], "concurrency": 101}, "/input/concurrency"),
    ],
)
async def test_links_out_of_bounds_are_refused_at_once(links: dict[str, Any], pointer: str, platform: Harness) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await platform.submit(KIND, links)

    assert [error.pointer for error in refused.value.problem.errors] == [pointer]


class Notes:
    """Stands in for the context of one attempt, and keeps what the handler tells."""

    def __init__(self, checkpoint: Any = None) -> None:
        self.checkpoint = checkpoint
        self.outputs: list[Any] = []
        self.saves: list[Any] = []

    async def progress(self, *_: Any) -> None: ...

    async def log(self, *_: Any, **__: Any) -> None: ...

    async def output(self, delta: Any) -> None:
        self.outputs.append(delta)

    async def save(self, checkpoint: Any) -> None:
        self.saves.append((checkpoint, len(self.outputs)))


async def test_a_later_attempt_visits_only_what_was_not_saved(site: Site, visitor: Visitor) -> None:
    urls = [site.answers(f"/{number}") for number in range(SAVE_EVERY + 2)]
    first, second = Notes(), Notes()
    await check(Links(urls=urls), cast("Context", first), visitor)
    [(checkpoint, told)] = first.saves
    site.requests.clear()

    second.checkpoint = checkpoint
    findings = await check(Links(urls=urls), cast("Context", second), visitor)

    assert told == len(checkpoint) == SAVE_EVERY
    assert len(site.requests) == len(second.outputs) == 2
    assert [link.url for link in findings.links] == urls
