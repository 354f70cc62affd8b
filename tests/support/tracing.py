"""A tracer whose spans a test can look at."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every run of tests loads this module: those that trace nothing load no more
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from backhaul.wiring.tracing import OpenTelemetryTracer


@pytest.fixture
def exporter() -> "InMemorySpanExporter":
    """Keeps the spans of `tracer` that have ended."""
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: "InMemorySpanExporter") -> "Iterator[OpenTelemetryTracer]":
    """A tracer of OpenTelemetry that exports each span as it ends."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    from backhaul.wiring.tracing import OpenTelemetryTracer

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield OpenTelemetryTracer(provider)
    provider.shutdown()
