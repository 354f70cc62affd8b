"""Readings as the text that Prometheus reads. Imported at the first scrape: most processes are never asked."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from backhaul.core.metrics import Labels, Metric, Reading, Shape, Spread

Family: TypeAlias = Any
"""One of prometheus_client's, whose methods differ."""


def exposed(readings: Iterable[Reading], accept: str) -> tuple[bytes, str]:
    """These, and what the system says of the process, with their media type, as a header `Accept` would have them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings(readings))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Readings(Collector):
    """Readings of the same metric, of several workers perhaps, are one family."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._families: dict[str, Family] = {}
        for reading in readings:
            self._add(reading.metric, reading.values)

    def collect(self) -> Iterator[Family]:
        yield from self._families.values()

    def _add(self, metric: Metric, values: Mapping[Labels, float | Spread]) -> None:
        family = self._families.get(metric.name)
        if family is None:
            family = self._families[metric.name] = _FAMILIES[metric.shape](
                metric.name, metric.meaning, labels=metric.labels
            )
        for labels, value in values.items():
            if isinstance(value, Spread):
                family.add_metric(labels, _buckets(value), value.sum)
            else:
                family.add_metric(labels, value)


_FAMILIES: dict[Shape, Callable[..., Family]] = {
    Shape.COUNTER: CounterMetricFamily,
    Shape.GAUGE: GaugeMetricFamily,
    Shape.HISTOGRAM: HistogramMetricFamily,
}


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    """As Prometheus has them: each with all below it."""
    names = [*map(floatToGoString, spread.bounds), "+Inf"]
    return list(zip(names, accumulate(spread.counts), strict=True))
