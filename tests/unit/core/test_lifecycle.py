"""The table of transitions: facts that must hold of it as a whole."""

from collections.abc import Iterable

import pytest

from backhaul.core.task.lifecycle import TRANSITIONS, Trigger, target
from backhaul_contracts.tasks import HELD, TERMINAL, Status


def reachable(start: Iterable[Status]) -> set[Status]:
    found = set(start)
    while True:
        more = {row.target for row in TRANSITIONS if found.intersection(row.sources)} - found
        if not more:
            return found
        found |= more


def test_every_status_can_be_reached_by_a_new_task() -> None:
    assert reachable(row.target for row in TRANSITIONS if not row.sources) == set(Status)


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
def test_no_task_is_caught_in_a_status(status: Status) -> None:
    """I1: from wherever it stands, it can end."""
    assert reachable([status]) & TERMINAL


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_only_an_operator_moves_an_ended_task(status: Status) -> None:
    """I2."""
    moves = {trigger for trigger in Trigger if target(status, trigger) is not None}

    assert moves <= (set() if status is Status.SUCCEEDED else {Trigger.RERUN, Trigger.RERUN_LATER})


def test_one_trigger_leads_from_a_status_to_one_other() -> None:
    pairs = [(source, row.trigger) for row in TRANSITIONS for source in row.sources]

    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("status", sorted(Status))
def test_an_attempt_begins_by_a_claim_alone(status: Status) -> None:
    """I11."""
    ways = {row.trigger for row in TRANSITIONS for source in row.sources if row.target in HELD and source not in HELD}

    assert ways == {Trigger.CLAIM}
    assert target(status, Trigger.CLAIM) is (Status.RUNNING if status is Status.QUEUED else None)


@pytest.mark.parametrize("trigger", [Trigger.REPORT, Trigger.SUCCEED])
def test_a_worker_is_heard_as_long_as_its_attempt_is_held(trigger: Trigger) -> None:
    heard = {status for status in Status if target(status, trigger) is not None}

    assert heard == HELD


def test_whatever_is_not_done_can_be_cancelled_or_is_being_cancelled() -> None:
    deaf = {status for status in Status if not (target(status, Trigger.CANCEL) or target(status, Trigger.ASK))}

    assert deaf == TERMINAL | {Status.CANCELLING}
