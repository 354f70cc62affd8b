"""What the workers of a process measure: how attempts end, and what is taken of their slots."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from backhaul.core.metrics import LENGTHS, Labels, Metric, Reading, Shape, Spreads, alone, by_word
from backhaul.worker.worker import Worker

ATTEMPTS = Metric(
    "backhaul_attempts_total",
    Shape.COUNTER,
    "Attempts that have ended here, by `end`: `succeeded`, `failed` (time-outs too), `stopped` (cancelled), "
    "`handed_back`, `dropped` (nobody wanted its outcome any more).",
    ("kind", "end"),
)
LENGTH = Metric(
    "backhaul_attempt_seconds", Shape.HISTOGRAM, "How long attempts took here, with their waits for calls.", ("kind",)
)
SLOTS = Metric("backhaul_worker_slots", Shape.GAUGE, "How many attempts may run here at a time.", ("service",))
TAKEN = Metric(
    "backhaul_worker_attempts",
    Shape.GAUGE,
    "Attempts here: `running` ones take slots, `stopping` ones of these were asked to stop, `waiting` ones wait for "
    "calls, `held` ones are not wholly recorded yet.",
    ("service", "state"),
)
UNRECORDED = Metric(
    "backhaul_worker_unrecorded_bytes", Shape.GAUGE, "Reports that are kept here until a ledger has recorded them."
)
BLOCKED = Metric(
    "backhaul_worker_loop_blocked_total",
    Shape.COUNTER,
    "How often handlers blocked the event loop for longer than 0.5 s. The log has the stack.",
)
ENDS = ("succeeded", "failed", "stopped", "handed_back", "dropped")
METRICS = (ATTEMPTS, LENGTH, SLOTS, TAKEN, UNRECORDED, BLOCKED)


def readings(workers: Iterable[Worker]) -> Iterator[Reading]:
    """The numbers of all workers of a process at this moment."""
    counts = [worker.counts for worker in workers]
    ends: Counter[Labels] = Counter()
    lengths = Spreads(LENGTHS)
    for each in counts:
        ends.update(dict.fromkeys(product(each.kinds, ENDS), 0))
        ends.update(each.ends)
        for kind, spread in each.lengths.items():
            lengths[kind].add(spread)
    yield Reading(ATTEMPTS, ends)
    yield Reading(LENGTH, lengths)
    yield from _slots(workers)
    yield alone(UNRECORDED, sum(each.unrecorded_bytes for each in counts))
    yield alone(BLOCKED, sum(each.blockages for each in counts))


def _slots(workers: Iterable[Worker]) -> Iterator[Reading]:
    slots: Counter[str] = Counter()
    taken: Counter[Labels] = Counter()
    for view in (worker.view() for worker in workers):
        slots[view.service] += view.slots
        for state in ("running", "stopping", "waiting", "held"):
            taken[view.service, state] += getattr(view, state)
    yield Reading(SLOTS, by_word(slots))
    yield Reading(TAKEN, taken)
