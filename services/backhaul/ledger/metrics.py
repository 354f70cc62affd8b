"""What a ledger measures: what it hears of workers and grants them, what it takes away, and what it sets aside."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backhaul.core.metrics import Metric, Reading, Shape, alone, by_word, total
from backhaul.ledger.superseded import REASON
from backhaul_contracts.reports import Ruling

if TYPE_CHECKING:
    from backhaul.ledger.ledger import Ledger

CLAIMS = Metric(
    "backhaul_claims_total",
    Shape.COUNTER,
    "Claims of workers by answer: `granted`, `empty`, `paused`, or `none` (the worker may be dead).",
    ("queue", "answer"),
)
REPORTS = Metric(
    "backhaul_reports_total",
    Shape.COUNTER,
    "Reports of workers by ruling: `recorded` (repeats too), `stale` (its attempt is over), `gap` (one before it is "
    "missing), `refused`.",
    ("ruling",),
)
LAPSES = Metric("backhaul_leases_lapsed_total", Shape.COUNTER, "Attempts whose worker was silent for a whole lease.")
TAKEN_BACK = Metric(
    "backhaul_grants_lost_total", Shape.COUNTER, "Grants that never reached their worker, and were taken back."
)
TOKENS = Metric(
    "backhaul_tokens_mended_total",
    Shape.COUNTER,
    "Tokens `issued` anew where some were missing, and `dropped` where there were far too many.",
    ("act",),
)
SWEPT = Metric(
    "backhaul_outbox_swept_total",
    Shape.COUNTER,
    "Dispatches that a crash or an outage had left, and a sweep published.",
)
DEAD = Metric(
    "backhaul_dead_letters_total", Shape.COUNTER, "Messages that this process has set aside, by reason.", ("reason",)
)
KEPT = Metric(
    "backhaul_dead_letters",
    Shape.GAUGE,
    "Dead letters in each of their queues, those too that RabbitMQ has put there. As of the last 15 s.",
    ("queue",),
)
METRICS = (CLAIMS, REPORTS, LAPSES, TAKEN_BACK, TOKENS, SWEPT, DEAD, KEPT)


def readings(ledger: "Ledger") -> Iterator[Reading]:
    """The numbers of a ledger at this moment."""
    yield Reading(CLAIMS, ledger.claims.answers)
    yield Reading(REPORTS, by_word(dict.fromkeys(Ruling, 0) | total(recorder.rulings for recorder in ledger.recorders)))
    yield alone(LAPSES, ledger.reaper.lapses)
    yield alone(TAKEN_BACK, ledger.beats.taken_back)
    yield Reading(TOKENS, {("issued",): ledger.balance.issued, ("dropped",): ledger.balance.dropped})
    yield alone(SWEPT, ledger.reaper.swept)
    yield Reading(DEAD, by_word(_dead_letters(ledger)))
    yield Reading(KEPT, by_word(ledger.watch.known))


def _dead_letters(ledger: "Ledger") -> Counter[str]:
    counted = total([ledger.intake.set_aside, *(desk.set_aside for desk in ledger.desks)])
    return counted + Counter({REASON: ledger.superseded.kept})
