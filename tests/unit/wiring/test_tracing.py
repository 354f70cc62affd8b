"""Whether there is a tracer, and what becomes of it."""

import logging
import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from backhaul.core.tracing import FACTS, UNTRACED, Side, facts, trace_id
from backhaul.settings import Settings
from backhaul.wiring.tracing import OpenTelemetryTracer, tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-00"


@pytest.mark.parametrize("name", ["BACKHAUL_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_the_endpoint_has_a_name_of_ours_and_the_standard_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://collector:4318")

    assert Settings().otlp_endpoint == "http://collector:4318"


def test_without_opentelemetry_nothing_is_traced_and_the_log_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with caplog.at_level(logging.WARNING), tracing(Settings(otlp_endpoint="http://127.0.0.1:9"), "ledger") as tracer:
        pass

    assert tracer is UNTRACED
    assert "pip install 'backhaul[otel]'" in caplog.text


def test_who_disables_the_sdk_of_opentelemetry_keeps_the_traces_of_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    with tracing(Settings(otlp_endpoint="http://127.0.0.1:9"), "ledger") as tracer:
        pass

    assert tracer is UNTRACED


def test_who_does_not_want_to_be_sampled_is_not(tracer: OpenTelemetryTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.span("sampled", Side.SERVER, SAMPLED), tracer.span("not", Side.SERVER, NOT_SAMPLED) as span:
        pass

    assert [span.name for span in exporter.get_finished_spans()] == ["sampled"]
    assert trace_id(span.traceparent) == TRACE
    assert str(span.traceparent).endswith("-00")


def test_a_span_without_a_parent_begins_a_trace_whatever_runs_around_it(tracer: OpenTelemetryTracer) -> None:
    with tracer.span("one", Side.SERVER, SAMPLED), tracer.span("another", Side.SERVER, None) as span:
        assert trace_id(span.traceparent) not in (TRACE, None)


def test_of_an_exception_only_its_type_is_told(tracer: OpenTelemetryTracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="quince"), tracer.span("it", Side.SERVER, None):
        raise ValueError("quince")

    [span] = exporter.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "quince" not in span.to_json()


def test_facts_hold_inside_of_their_block_alone() -> None:
    with facts(SAMPLED, task_id="tsk_1"), facts(None, attempt=2):
        inside = FACTS.get()

    assert inside == {"trace_id": TRACE, "task_id": "tsk_1", "attempt": 2}
    assert FACTS.get() == {}
