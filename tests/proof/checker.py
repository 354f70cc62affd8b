"""The checker: a history in, whatever breaks an invariant out."""

from collections.abc import Callable, Iterator

from tests.proof.case import Case, arrange
from tests.proof.history import History
from tests.proof.invariants import drains, endings, keys, logs, outcomes, recovery, remains, views, webhooks, workers
from tests.proof.violation import Invariant, Violation

__all__ = ["Invariant", "Violation", "check"]

_RULES: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    endings.acknowledged,
    endings.confirmed,
    endings.ended,
    endings.runs,
    endings.shown_endings,
    outcomes.one_result,
    outcomes.no_contradiction,
    logs.illegal_steps,
    logs.late_writes,
    logs.strange_words,
    logs.attempts,
    logs.numbers,
    logs.sequence,
    views.gapless,
    views.truthful,
    views.to_the_end,
    workers.one_grant,
    workers.no_overlap,
    workers.nothing_unclaimed,
    remains.nothing_left,
    remains.nobody_holds,
    recovery.work_resumes,
    keys.one_task,
    keys.as_submitted,
    keys.nobody_elses,
    webhooks.arrived,
    webhooks.genuine,
    webhooks.one_identity,
    drains.left,
    drains.nothing_lost,
)


def check(history: History) -> list[Violation]:
    """All violations in `history`, ordered by invariant; empty if every promise was kept, as far as it shows.

    The history should be complete: the record of every task and its whole log, what was left, every submit and command
    of every client. What is *unknown* to a client may have happened or not; if it has, it must obey like the rest.
    Clocks of different observers may differ by `Terms.skew`. Pure, and linear in the number of observations.
    """
    case = arrange(history)
    found = [violation for rule in _RULES for violation in rule(case)]
    return sorted(found, key=lambda violation: int(violation.invariant[1:]))
