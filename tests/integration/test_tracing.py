"""One trace from the request of a client over every hop to the webhook; and a log that says which task it speaks of."""

import io
import json
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from backhaul import Context, Fail, Retry, Service
from backhaul.core.apikeys import EVERY, new_api_key
from backhaul.settings import Settings
from backhaul.testing import Harness
from backhaul.wiring.logs import set_up_logs
from backhaul.wiring.tracing import OpenTelemetryTracer, tracing
from tests.integration import traced_apart
from tests.support.receiver import receiving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"

_log = logging.getLogger("traced")


def service() -> Service:
    """A parent that fails once, and calls a child."""
    service = Service("traced", slots=4)

    @service.handler("traced.parent")
    async def parent(name: str, ctx: Context) -> str:
        _log.info("the parent is at work")
        if ctx.attempt == 1:
            raise Retry(after=timedelta(0))
        answer: str = await ctx.call("traced.child", name)
        return answer

    @service.handler("traced.child")
    def child(name: str, ctx: Context) -> str:
        _log.info("the child is at work")
        return f"Hello, {name}. {ctx.traceparent}"

    @service.handler("traced.broken")
    async def broken(name: str) -> None:
        raise Fail("no_luck", "It did not work out.")

    service.handler("traced.apart", run_in="process")(traced_apart.greet)
    return service


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged as JSON, from debug on."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    set_up_logs(Settings(log_format="json", log_level="debug"))
    written = io.StringIO()
    [handler] = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


async def submitted(platform: Harness, kind: str, **options: Any) -> str:
    body = {"kind": kind, "input": "Ada", **options}
    answer = await platform.http.post("/v1/tasks", json=body, headers={"traceparent": TRACEPARENT, "Prefer": "wait=20"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def tree(spans: Sequence[ReadableSpan], above: str) -> dict[str, Any]:
    """The names of the spans below one, each with those below it; of equal ones the number."""
    below: dict[str, Any] = {}
    for span in spans:
        assert span.context is not None
        if span.parent is not None and f"{span.parent.span_id:016x}" == above:
            name = span.name if span.name not in below else f"{span.name} again"
            below[name] = tree(spans, f"{span.context.span_id:016x}")
    return below


async def test_one_trace_joins_the_request_every_attempt_the_called_task_and_the_webhook(
    tracer: OpenTelemetryTracer, exporter: InMemorySpanExporter
) -> None:
    async with receiving() as receiver, Harness(service(), tracer=tracer) as platform:
        await submitted(platform, "traced.parent", webhook={"url": receiver.url})
        call = await receiver.call()

    spans = exporter.get_finished_spans()

    assert {f"{span.context.trace_id:032x}" for span in spans if span.context is not None} == {TRACE}
    assert tree(spans, CALLER) == {
        "POST /v1/tasks": {
            "wait traced.parent": {},
            "run traced.parent": {},
            "run traced.parent again": {
                "call traced.child": {"take in": {"wait traced.child": {}, "run traced.child": {}}}
            },
            "webhook": {},
        }
    }
    [webhook] = [span for span in spans if span.name == "webhook"]
    assert webhook.context is not None
    assert call.headers["traceparent"] == f"00-{TRACE}-{webhook.context.span_id:016x}-01"


async def test_a_span_tells_which_task_and_attempt_it_is_of_and_whether_it_failed(
    tracer: OpenTelemetryTracer, exporter: InMemorySpanExporter
) -> None:
    async with Harness(service(), tracer=tracer) as platform:
        task_id = await submitted(platform, "traced.broken")

    [run] = [span for span in exporter.get_finished_spans() if span.name == "run traced.broken"]
    assert run.attributes == {"backhaul.task_id": task_id, "backhaul.attempt": 1, "backhaul.kind": "traced.broken"}
    assert not run.status.is_ok
    assert run.status.description == "failed"
    assert not run.events


async def test_what_a_handler_traces_by_itself_is_part_of_its_attempt(
    tracer: OpenTelemetryTracer, exporter: InMemorySpanExporter
) -> None:
    own = Service("own")
    current: dict[str, int] = {}

    @own.handler("own.looped")
    async def looped(name: str) -> None:
        current["run own.looped"] = trace.get_current_span().get_span_context().span_id

    @own.handler("own.threaded")
    def threaded(name: str) -> None:
        current["run own.threaded"] = trace.get_current_span().get_span_context().span_id

    async with Harness(own, tracer=tracer) as platform:
        await submitted(platform, "own.looped")
        await submitted(platform, "own.threaded")

    spans = {span.name: span.context.span_id for span in exporter.get_finished_spans() if span.context is not None}
    assert current == {name: spans[name] for name in ("run own.looped", "run own.threaded")}


async def test_without_a_tracer_the_trace_of_the_caller_is_passed_on_to_every_task() -> None:
    async with receiving() as receiver, Harness(service()) as platform:
        task_id = await submitted(platform, "traced.parent", webhook={"url": receiver.url})
        call = await receiver.call()
        result = (await platform.http.get(f"/v1/tasks/{task_id}/result")).json()

    assert result == f"Hello, Ada. {TRACEPARENT}"
    assert call.headers["traceparent"] == TRACEPARENT


async def test_a_child_process_knows_its_trace_and_what_it_logs_says_so(lines: io.StringIO) -> None:
    async with Harness(service()) as platform:
        task_id = await submitted(platform, "traced.apart")
        result = (await platform.http.get(f"/v1/tasks/{task_id}/result")).json()

    [own] = [line for line in map(json.loads, lines.getvalue().splitlines()) if line["logger"] == "apart"]
    assert result == TRACEPARENT
    assert (own["message"], own["task_id"], own["trace_id"]) == ("at work apart", task_id, TRACE)


async def test_nothing_is_traced_unless_an_endpoint_is_given() -> None:
    with tracing(Settings(), "worker") as tracer, tracer.span("anything", "client", None) as span:  # type: ignore[arg-type]
        assert span.traceparent is None


async def test_what_is_logged_in_a_handler_says_which_task_and_trace_it_is_of(lines: io.StringIO) -> None:
    async with Harness(service()) as platform:
        task_id = await submitted(platform, "traced.parent")

    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    own = [line for line in logged if line["logger"] == "traced"]
    assert [(line["message"], line["kind"], line["attempt"]) for line in own] == [
        ("the parent is at work", "traced.parent", 1),
        ("the parent is at work", "traced.parent", 2),
        ("the child is at work", "traced.child", 1),
    ]
    assert {line["trace_id"] for line in own} == {TRACE}
    assert {line["task_id"] for line in own[:2]} == {task_id}
    assert all("task_id" not in line for line in logged if line["logger"] == "backhaul.reaper")


async def test_what_is_done_with_a_key_is_logged_with_the_trace_of_the_call(lines: io.StringIO, tmp_path: Path) -> None:
    data = str(tmp_path / "backhaul.db")
    async with Harness(data=data) as platform:
        key, bare = new_api_key("ci", "default", EVERY, platform.clock.now())
        await platform.platform.store.add_api_key(key)

    async with Harness(service(), data=data) as platform:
        headers = {"traceparent": TRACEPARENT, "Authorization": f"Bearer {bare}"}
        await platform.http.post("/v1/queues/traced/pause", headers=headers)

    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    [deed] = [line for line in logged if line["logger"] == "backhaul.audit"]
    assert (deed["deed"], deed["trace_id"]) == ("pause_queue", TRACE)


async def test_neither_payloads_nor_secrets_are_logged(lines: io.StringIO) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    settings = {"secret_key": "a-key-of-thirty-two-characters-or-more"}
    async with receiving() as receiver, Harness(service(), settings=settings) as platform:
        webhook = {"url": f"{receiver.url}?token=quince", "secret": secret}
        task_id = await submitted(platform, "traced.parent", input="vermilion", webhook=webhook)
        await receiver.call()
        link = (await platform.http.get(f"/v1/tasks/{task_id}")).json()["links"]["stream"]
        token = link.partition("token=")[2]
        await platform.http.get(f"{link}x", headers={"Accept": "text/event-stream", "Authorization": "Bearer bh_plum"})

    written = lines.getvalue()

    assert "the child is at work" in written
    assert token
    for hidden in ("vermilion", "quince", "bh_plum", secret, settings["secret_key"], token):
        assert hidden not in written
