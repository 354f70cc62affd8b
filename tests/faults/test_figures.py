"""The figures of a chaos run, from histories told by hand."""

from datetime import timedelta

from tests.faults.figures import Fate, figures, spread
from tests.faults.plan import FaultKind, Planned
from tests.proof.checker import check
from tests.proof.given import A_RETRIED_SUCCESS, A_SUCCESS, history, moment, story, without
from tests.proof.history import History
from tests.proof.observations import Fault, HandlerEnded, HandlerStarted, Heal, Observation

RECOVERY_OF_WORK = "from the kill of a worker to the next attempt of what it ran"


def killed_at(second: float) -> list[Observation]:
    """A task whose first worker was killed in its first attempt, and which succeeded in the second."""
    told = without(story(A_RETRIED_SUCCESS), HandlerStarted, HandlerEnded)
    return [
        *told,
        HandlerStarted(worker="w1", task_id="tsk_1", attempt=1, at=moment(3)),
        Fault(kind="kill", target="w1", at=moment(second)),
        HandlerStarted(worker="w2", task_id="tsk_1", attempt=2, at=moment(7)),
        HandlerEnded(worker="w2", task_id="tsk_1", attempt=2, at=moment(8), how="returned"),
    ]


def fates(observed: History) -> dict[Fate, int]:
    counted = figures(observed, [], check(observed), []).fates
    return {fate: count for fate, count in counted.items() if count}


def test_a_task_that_nothing_touched_is_undisturbed() -> None:
    assert fates(history(*story(A_SUCCESS))) == {Fate.UNDISTURBED: 1}


def test_a_task_that_ended_well_after_a_lost_attempt_has_recovered() -> None:
    assert fates(history(*killed_at(4))) == {Fate.RECOVERED: 1}


def test_the_time_to_recover_is_counted_from_the_kill_to_the_next_start() -> None:
    observed = history(*killed_at(4))

    recovery = figures(observed, [], [], []).recovery[RECOVERY_OF_WORK]

    assert (recovery.count, recovery.median) == (1, timedelta(seconds=3))


def test_a_server_has_recovered_with_the_first_success_after_its_return() -> None:
    observed = history(*story(A_SUCCESS), Heal(kind="crash", target="broker", at=moment(1)))

    recovery = figures(observed, [], [], []).recovery["from the return of RabbitMQ to the next success"]

    assert (recovery.count, recovery.longest) == (1, timedelta(seconds=4))


def test_a_gateway_has_recovered_with_its_next_answer() -> None:
    observed = history(Fault(kind="kill", target="gateway-1", at=moment(1)))
    answered = [("gateway-1", moment(0)), ("gateway-2", moment(2)), ("gateway-1", moment(4))]

    recovery = figures(observed, [], [], answered).recovery["from the kill of a gateway to its next answer"]

    assert (recovery.count, recovery.median) == (1, timedelta(seconds=3))


def test_faults_are_counted_by_their_kind_and_by_what_they_hit() -> None:
    nothing = timedelta(0)
    inflicted = [
        Planned(nothing, FaultKind.KILL, "worker-1", nothing),
        Planned(nothing, FaultKind.KILL, "worker-2", nothing),
        Planned(nothing, FaultKind.CUT, "ledger-1>broker", nothing),
    ]

    counted = figures(History(), inflicted, [], []).faults

    assert counted == {"kill": {"worker": 2}, "cut": {"ledger>broker": 1}}


def test_percentiles_are_those_of_the_nearest_rank_and_nothing_has_none() -> None:
    lengths = [timedelta(seconds=second) for second in range(101)]

    assert spread(lengths).p95 == timedelta(seconds=95)
    assert spread([]).count == 0
