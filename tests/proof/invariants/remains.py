"""I9: at the end nothing is owed, held or waiting."""

from collections.abc import Iterator

from tests.proof.case import Case, broken
from tests.proof.observations import Remains
from tests.proof.violation import Invariant, Violation

_KEPT = frozenset({"backhaul.dead", "backhaul.invalid", "backhaul.unrouted"})


def nothing_left(case: Case) -> Iterator[Violation]:
    if not case.history.of(Remains):
        yield broken(Invariant.I9, "nobody has looked at what was left: record `Remains` at the end")
    for remains in case.history.of(Remains)[-1:]:
        left = {"the outbox": remains.outbox, "leases": remains.leases}
        left |= {name: count for name, count in remains.queues.items() if name not in _KEPT}
        for name, count in left.items():
            if count:
                yield broken(Invariant.I9, f"{count} left in {name}", evidence=(remains,))


def nobody_holds(case: Case) -> Iterator[Violation]:
    for task in case.tasks.values():
        if task.held_by is not None:
            yield broken(Invariant.I9, f"{task.held_by} still holds it", task.task_id, (task,))
