"""Readings as the text that Prometheus reads. Imported at the first scrape: most processes are never asked."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
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

_WRITER = ThreadPoolExecutor(1, "backhaul-metrics")
"""One of our own: handlers may keep all threads of the loop busy for hours."""


async def exposed(readings: Iterable[Reading], accept: str) -> tuple[bytes, str]:
    """These, and what the system says of the process, with their media type, as a header `Accept` would have them.

    The numbers are those of this moment. Writing them down takes a tenth of a second where there are many kinds, so it
    is done beside the event loop.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings(readings))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    encode, media_type = choose_encoder(accept)
    return await asyncio.get_running_loop().run_in_executor(_WRITER, encode, registry), media_type


class _Readings(Collector):
    """Readings of the same metric, of several workers perhaps, are one family.

    Their numbers are copied at once, for they move on; what costs more than that waits until they are collected.
    """

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._copies: dict[Metric, list[tuple[Labels, float | Spread]]] = {}
        for reading in readings:
            copies = self._copies.setdefault(reading.metric, [])
            copies += [(labels, _copied(value)) for labels, value in reading.values.items()]

    def collect(self) -> Iterator[Family]:
        for metric, copies in self._copies.items():
            family = _FAMILIES[metric.shape](metric.name, metric.meaning, labels=metric.labels)
            for labels, value in copies:
                if isinstance(value, Spread):
                    family.add_metric(labels, _buckets(value), value.sum)
                else:
                    family.add_metric(labels, value)
            yield family


_FAMILIES: dict[Shape, Callable[..., Family]] = {
    Shape.COUNTER: CounterMetricFamily,
    Shape.GAUGE: GaugeMetricFamily,
    Shape.HISTOGRAM: HistogramMetricFamily,
}


def _copied(value: float | Spread) -> float | Spread:
    return value.copy() if isinstance(value, Spread) else value


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    """As Prometheus has them: each with all below it."""
    names = [*map(floatToGoString, spread.bounds), "+Inf"]
    return list(zip(names, accumulate(spread.counts), strict=True))
