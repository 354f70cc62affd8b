"""I3 and I8: what different eyes see of one run's outcome agrees."""

from collections.abc import Iterator

from backhaul_contracts.tasks import Status
from tests.proof.case import Case, broken
from tests.proof.observations import FinalTask, Observation
from tests.proof.sighting import Sighting
from tests.proof.violation import Invariant, Violation

_OPPOSITE = {Status.SUCCEEDED: Status.CANCELLED, Status.CANCELLED: Status.SUCCEEDED}


def one_result(case: Case) -> Iterator[Violation]:
    """I3: everyone who is shown a result of a run is shown the same, and only of a run that succeeded."""
    results: dict[tuple[str, int], tuple[str, Observation]] = {}
    for where, hash_, seen in _results(case):
        other = results.setdefault(where, (hash_, seen))
        if other[0] != hash_:
            yield broken(Invariant.I3, "two results of one run were visible", where[0], (other[1], seen))
    for (task_id, run), (_, seen) in results.items():
        course = case.course(task_id)
        if course.steps and course.ending(run) is not Status.SUCCEEDED:
            text = f"a result was visible of a run that ended as {course.ending(run)}"
            yield broken(Invariant.I3, text, task_id, (seen,))


def _results(case: Case) -> Iterator[tuple[tuple[str, int], str, Observation]]:
    for task in case.history.of(FinalTask):
        if task.result_hash is not None:
            yield (task.task_id, case.course(task.task_id).last_run), task.result_hash, task
    for shown in case.sightings:
        if shown.result_hash is not None:
            yield (shown.task_id, case.course(shown.task_id).run_at(shown.seq)), shown.result_hash, shown.seen


def no_contradiction(case: Case) -> Iterator[Violation]:
    """I8: no client is shown both success and cancelled in one run."""
    shown: dict[tuple[str, str, int, Status], Sighting] = {}
    for sighting in case.sightings:
        opposite = _OPPOSITE.get(sighting.status)
        if opposite is None:
            continue
        who = (sighting.client, sighting.task_id, case.course(sighting.task_id).run_at(sighting.seq))
        shown.setdefault((*who, sighting.status), sighting)
        other = shown.get((*who, opposite))
        if other:
            text = f"{sighting.client} was shown both {other.status} and {sighting.status}"
            yield broken(Invariant.I8, text, sighting.task_id, (other.seen, sighting.seen))
