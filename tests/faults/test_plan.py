"""The plan of a chaos run."""

from datetime import timedelta

from tests.faults.plan import BROKER, CLIENTS, DATABASE, FaultKind, Planned, plan

PROCESSES = ("gateway-1", "gateway-2", "ledger-1", "ledger-2", "worker-1", "worker-2", "worker-3", "notifier-1")


def planned(seed: int, minutes: int) -> list[Planned]:
    start, end, gap = timedelta(seconds=3), timedelta(minutes=minutes), timedelta(seconds=4)
    return list(plan(seed, PROCESSES, start=start, end=end, gap=gap))


def test_the_same_seed_gives_the_same_plan_and_another_seed_another_one() -> None:
    assert planned(7, 10) == planned(7, 10)
    assert planned(7, 10) != planned(8, 10)


def test_the_first_faults_are_one_of_each_kind() -> None:
    first = planned(7, 10)[: len(FaultKind)]

    assert {fault.kind for fault in first} == set(FaultKind)


def test_ten_minutes_hit_every_process_every_server_and_every_sort_of_link() -> None:
    targets = {fault.target for fault in planned(7, 10)}

    assert targets.issuperset({*PROCESSES, BROKER, DATABASE})
    links = {target.split("-")[0] + ">" + target.split(">")[1] for target in targets if ">" in target}
    assert links == {
        *(f"{role}>{BROKER}" for role in ("gateway", "ledger", "worker")),
        *(f"{role}>{DATABASE}" for role in ("gateway", "ledger", "notifier")),
        f"gateway>{CLIENTS}",
    }


def test_no_fault_begins_before_the_start_or_after_the_end() -> None:
    moments = [fault.at for fault in planned(7, 1)]

    assert moments == sorted(moments)
    assert moments[0] == timedelta(seconds=3)
    assert moments[-1] < timedelta(minutes=1)
