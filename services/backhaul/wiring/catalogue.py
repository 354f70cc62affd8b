"""Every metric there is, by the part that tells it: what the documentation shows."""

from collections.abc import Mapping

from backhaul.core import census
from backhaul.core.messages import relay
from backhaul.core.metrics import Metric
from backhaul.gateway import metrics as gateway
from backhaul.ledger import metrics as ledger
from backhaul.notifier import metrics as notifier
from backhaul.wiring import metrics as process
from backhaul.worker import metrics as worker

BY_PART: Mapping[str, tuple[Metric, ...]] = {
    "process": process.METRICS,
    "census": census.METRICS,
    "relay": relay.METRICS,
    "gateway": gateway.METRICS,
    "ledger": ledger.METRICS,
    "worker": worker.METRICS,
    "notifier": notifier.METRICS,
}
METRICS = tuple(metric for metrics in BY_PART.values() for metric in metrics)
