"""Tracing by OpenTelemetry, sent over OTLP. Optional: without the extra `otel` or without an endpoint nothing of it is
imported."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING

from backhaul.core.tracing import UNTRACED, Attributes, Side, Span, Tracer
from backhaul.settings import Settings
from backhaul.wiring.disclosure import without_password
from backhaul.wiring.metrics import version_here

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_log = logging.getLogger("backhaul")

_FAREWELL = timedelta(seconds=2)
_SCALE = 1_000  # nanoseconds in a microsecond


@contextmanager
def tracing(settings: Settings, role: str) -> Iterator[Tracer]:
    """The tracer of a process, which sends what it has when the block ends. It is sampled, and told what it is, by the
    standard settings of OpenTelemetry (`OTEL_…`)."""
    provider = None if settings.otlp_endpoint is None else _provider(settings.otlp_endpoint, role)
    if provider is None:
        yield UNTRACED
        return
    try:
        yield OpenTelemetryTracer(provider)
    finally:
        _let_go(provider)


def _let_go(provider: "TracerProvider") -> None:
    """Send what is left. A collector that is away would be tried for ten seconds: it is not worth the wait."""
    farewell = Thread(target=provider.shutdown, name="backhaul-traces", daemon=True)
    farewell.start()
    farewell.join(_FAREWELL.total_seconds())


def _provider(endpoint: str, role: str) -> "TracerProvider | None":
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning("nothing is traced, since OpenTelemetry is not installed: pip install 'backhaul[otel]'")
        return None
    named = Resource.create({"service.name": f"backhaul-{role}", "service.version": version_here()})
    provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    if isinstance(provider.get_tracer("backhaul"), trace.NoOpTracer):  # whose spans would break the caller's trace
        _log.info("nothing is traced, since OTEL_SDK_DISABLED is set")
        return None
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    if role in ("worker", "embedded"):  # what handlers trace by themselves goes the same way
        trace.set_tracer_provider(provider)
    _log.info("traces are sent to %s", without_password(endpoint))
    return provider


class OpenTelemetryTracer:
    """Makes spans with `provider`. What a handler traces by itself becomes part of its attempt's span."""

    def __init__(self, provider: "trace.TracerProvider") -> None:
        from opentelemetry.trace import SpanKind

        self._tracer = provider.get_tracer("backhaul", version_here())
        self._kinds = {side: SpanKind[side.name] for side in Side}

    @contextmanager
    def span(self, name: str, side: Side, parent: str | None, attributes: Attributes | None = None) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            context=_context(parent),
            kind=self._kinds[side],
            attributes=_named(attributes),
            record_exception=False,  # what it says may be a payload
            set_status_on_exception=False,
        ) as span:
            open_ = _OpenSpan(span)
            try:
                yield open_
            except Exception as error:
                open_.fail(type(error).__name__)
                raise

    def tell(
        self, name: str, parent: str | None, since: datetime, until: datetime, attributes: Attributes | None = None
    ) -> None:
        began = _nanoseconds(since)
        span = self._tracer.start_span(name, context=_context(parent), attributes=_named(attributes), start_time=began)
        span.end(end_time=max(began, _nanoseconds(until)))


class _OpenSpan:
    def __init__(self, span: "trace.Span") -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent: str | None = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        )

    def fail(self, reason: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, reason))


def _context(parent: str | None) -> "Context":
    """Of what is given, and nothing else: what happens to run around it may belong to another task."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {} if parent is None else {"traceparent": parent}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def _named(attributes: Attributes | None) -> Mapping[str, str | int]:
    return {f"backhaul.{name}": value for name, value in (attributes or {}).items()}


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * _SCALE
