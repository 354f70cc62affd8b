"""Metrics: what a process tells Prometheus of itself, and that it is what the documentation says."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from backhaul import Context, Fail, Service
from backhaul.core.census import Census
from backhaul.core.errors import StoreUnavailable
from backhaul.core.metrics import MOMENTS, Labels, Reading, Spread, alone
from backhaul.notifier.metrics import LENGTH, TRIES
from backhaul.testing import Harness
from backhaul.wiring import exposition
from backhaul.wiring.catalogue import METRICS
from backhaul.wiring.metrics import Metrics

DOCUMENT = Path(__file__).parents[3] / "docs" / "observability.md"
ROW = re.compile(r"^\| `(backhaul_\w+)` \| (\w+) \|([^|]*)\|")

service = Service("greeter", version="1.0.0", slots=4)


class Name(BaseModel):
    name: str


@service.handler("greeter.greet")
async def greet(input: Name, ctx: Context) -> str:
    await ctx.progress(1)
    if input.name == "nobody":
        raise Fail("nobody_there", "There is nobody.")
    return f"Hello, {input.name}."


Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def platform() -> AsyncIterator[Harness]:
    async with Harness(service) as platform:
        yield platform


async def numbers(platform: Harness) -> Numbers:
    """Every sample, by name and labels."""
    answer = await platform.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(found: Numbers, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


async def test_the_numbers_move_as_a_task_lives(platform: Harness) -> None:
    before = await numbers(platform)

    task = await platform.submit("greeter.greet", {"name": "Ada"})
    await task.result()
    after = await numbers(platform)

    for event in ("accepted", "queued", "started", "progress", "succeeded"):
        assert of(before, "backhaul_task_events_total", kind="greeter.greet", event=event) == 0
        assert of(after, "backhaul_task_events_total", kind="greeter.greet", event=event) == 1
    for stage in ("accept", "wait", "run"):
        assert of(after, "backhaul_task_stage_seconds_count", kind="greeter.greet", stage=stage) == 1
    assert of(after, "backhaul_task_events_total", kind="greeter.greet", event="failed") == 0
    assert ("backhaul_task_events_total", (("event", "failed"), ("kind", "greeter.greet"))) in after
    assert of(after, "backhaul_attempts_total", kind="greeter.greet", end="succeeded") == 1
    assert of(after, "backhaul_attempt_seconds_count", kind="greeter.greet") == 1
    assert of(after, "backhaul_http_requests_total", operation="submit", status="202") == 1
    assert of(after, "backhaul_claims_total", queue="greeter", answer="granted") == 1
    assert of(after, "backhaul_reports_total", ruling="recorded") == 2
    assert of(after, "backhaul_queue_tasks", queue="greeter", status="running") == 0
    assert of(after, "backhaul_up", part="store") == of(after, "backhaul_up", part="broker") == 1
    assert of(after, "backhaul_worker_slots", service="greeter") == 4
    assert of(after, "backhaul_service_slots", service="greeter") == 4


async def test_what_alerts_look_at_is_told_before_it_happens(platform: Harness) -> None:
    found = await numbers(platform)

    for name, labels in (
        ("backhaul_task_events_total", {"kind": "greeter.greet", "event": "failed"}),
        ("backhaul_attempts_total", {"kind": "greeter.greet", "end": "failed"}),
        ("backhaul_http_requests_total", {"operation": "submit", "status": "500"}),
        ("backhaul_http_requests_total", {"operation": "none", "status": "503"}),
        ("backhaul_leases_lapsed_total", {}),
    ):
        assert found[name, tuple(sorted(labels.items()))] == 0


async def test_a_failure_is_counted_as_one(platform: Harness) -> None:
    task = await platform.submit("greeter.greet", {"name": "nobody"})
    await task.wait()

    found = await numbers(platform)

    assert of(found, "backhaul_task_events_total", kind="greeter.greet", event="failed") == 1
    assert of(found, "backhaul_attempts_total", kind="greeter.greet", end="failed") == 1


async def test_no_label_names_a_task_or_a_tenant(platform: Harness) -> None:
    task = await platform.submit("greeter.greet", {"name": "Ada"}, metadata={"colour": "vermilion"}, key="key-17")
    await task.result()

    answer = await platform.http.get("/metrics")

    for word in (task.id, "Ada", "vermilion", "key-17", "default"):
        assert word not in answer.text


async def test_what_waits_is_told_to_autoscalers(platform: Harness) -> None:
    await platform.http.post("/v1/queues/greeter/pause")
    for name in ("Ada", "Grace"):
        await platform.submit("greeter.greet", {"name": name})

    found = await numbers(platform)

    assert of(found, "backhaul_queue_tasks", queue="greeter", status="queued") == 2
    assert of(found, "backhaul_queue_paused", queue="greeter") == 1
    assert of(found, "backhaul_queue_oldest_seconds", queue="greeter") > 0


async def test_an_outage_of_the_broker_shows_and_so_does_its_end(platform: Harness) -> None:
    platform.broker.hub.down()
    during = await numbers(platform)
    platform.broker.hub.up()
    after = await numbers(platform)

    assert (of(during, "backhaul_up", part="broker"), of(during, "backhaul_up", part="store")) == (0, 1)
    assert of(after, "backhaul_up", part="broker") == 1
    assert of(after, "backhaul_broker_reconnects_total") == 1


async def test_scrapers_that_come_at_once_share_one_census(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    store = platform.platform.store
    take, taken = store.census, 0

    async def counted() -> Census:
        nonlocal taken
        taken += 1
        return await take()

    monkeypatch.setattr(store, "census", counted)
    metrics = Metrics("gateway", tuple, store)
    metrics.take_census(store, lambda _: None)
    texts = await asyncio.gather(*(metrics.scrape("text/plain") for _ in range(10)))

    assert taken == 1
    assert all(b"backhaul_workers{" in text for text, _ in texts)


async def test_without_the_database_the_rest_is_told(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> None:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(platform.platform.store, "census", away)
    platform.platform.metrics.take_census(platform.platform.store, lambda _: None)
    without_census = await numbers(platform)
    monkeypatch.setattr(platform.platform.store, "ping", away)
    found = await numbers(platform)

    assert of(without_census, "backhaul_up", part="store") == 1
    assert not any(name == "backhaul_queue_tasks" for name, _ in without_census)
    assert of(found, "backhaul_up", part="store") == 0
    assert of(found, "backhaul_worker_slots", service="greeter") == 4
    assert not any(name == "backhaul_queue_tasks" for name, _ in found)


async def test_watchers_are_counted_by_transport(platform: Harness) -> None:
    await platform.http.post("/v1/queues/greeter/pause")
    task = await platform.submit("greeter.greet", {"name": "Ada"})

    async with (
        httpx.AsyncClient(base_url=platform.url, timeout=10) as client,
        client.stream("GET", f"/v1/tasks/{task.id}/events") as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        during = await numbers(platform)

    assert of(during, "backhaul_watchers", transport="sse") == 1
    assert of(during, "backhaul_watchers", transport="websocket") == 0
    assert of(during, "backhaul_watched_tasks") == 1


async def test_openmetrics_is_served_to_who_prefers_it(platform: Harness) -> None:
    answer = await platform.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_they_are_written_down_beside_the_event_loop_as_they_were_when_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: Counter[Labels] = Counter({("delivered",): 1})
    lengths = Spread(MOMENTS)
    writers = []

    def encode(registry: CollectorRegistry) -> bytes:
        writers.append(threading.current_thread())
        tries["gone",] += 1
        lengths.observe(1)
        return generate_latest(registry)

    monkeypatch.setattr(exposition, "choose_encoder", lambda accept: (encode, accept))
    text, _ = await exposition.exposed([Reading(TRIES, tries), alone(LENGTH, lengths)], "text/plain")

    assert threading.main_thread() not in writers
    assert b'backhaul_webhook_tries_total{outcome="delivered"} 1.0' in text
    assert b'outcome="gone"' not in text
    assert b"backhaul_webhook_try_seconds_count 0.0" in text


async def test_they_do_not_wait_for_handlers_that_keep_all_threads_busy() -> None:
    loop, done = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, done.wait)

    try:
        async with asyncio.timeout(10):
            text, _ = await Metrics("worker", tuple).scrape("text/plain")
    finally:
        done.set()
        await busy

    assert b'role="worker"' in text


async def test_every_metric_that_is_told_is_documented_with_its_type_and_labels(platform: Harness) -> None:
    documented = {
        match[1]: (match[2], match[3].strip()) for match in map(ROW.match, DOCUMENT.read_text().splitlines()) if match
    }
    described = {
        metric.name: (str(metric.shape), ", ".join(f"`{label}`" for label in metric.labels)) for metric in METRICS
    }

    told = re.findall(r"^# TYPE (backhaul_\w+) (\w+)$", (await platform.http.get("/metrics")).text, re.MULTILINE)

    assert documented == described
    assert dict(told) == {name: shape for name, (shape, _) in described.items()}
