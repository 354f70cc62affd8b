"""Handlers in child processes: what they are given and say, and what is left of them when they crash."""

import asyncio
import errno
import gc
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from backhaul import RetryPolicy, Service
from backhaul_contracts.beats import StopReason
from backhaul_contracts.claims import Grant
from tests.support.deadlines import until
from tests.unit.worker import heavy, unfit
from tests.unit.worker.stage import Stage, play


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test leaves a process behind, not even a dead one."""
    before = children()
    yield
    assert children() == before


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def outcome(stage: Stage, kind: str, input: Any = None, **options: Any) -> Any:
    return await stage.ledger.outcome(await stage.ledger.offer(kind, input, **options))


async def output(stage: Stage, grant: Grant) -> Any:
    """The first piece of output of an attempt."""
    await until(lambda: "output" in stage.ledger.said(grant))
    reports: list[Any] = list(stage.ledger.reports[grant.task_id, 1])
    return next(report.delta for report in reports if report.report == "output")


async def test_a_handler_runs_in_a_process_of_its_own_with_its_own_types() -> None:
    async with play(heavy.service) as stage:
        shouted = await outcome(stage, "test.shout", {"text": "it"})
        pid = await outcome(stage, "test.pid")

    assert shouted.result == "IT"
    assert pid.result != os.getpid()


async def test_a_process_is_used_again() -> None:
    async with play(heavy.service) as stage:
        pids = [(await outcome(stage, "test.pid")).result for _ in range(3)]

    assert len(set(pids)) == 1


async def test_no_more_processes_run_than_there_are_slots() -> None:
    async with play(heavy.service.with_slots(2)) as stage:
        grants = [await stage.ledger.offer("test.pid") for _ in range(8)]
        pids = {(await stage.ledger.outcome(grant)).result for grant in grants}

    assert len(pids) <= 2


async def test_the_context_says_and_knows_the_same_as_in_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.talk", metadata={"a": "b"}, checkpoint=[1], attempt=2)
        deadline = stage.clock.now() + grant.timeout
        ended = await stage.ledger.outcome(grant)
        reports: list[Any] = list(stage.ledger.reports[grant.task_id, 2])

    assert [report.report for report in reports] == ["progress", "output", "output", "log", "checkpoint", "succeeded"]
    assert (reports[0].progress.done, reports[0].progress.total, reports[0].progress.note) == (1, 2, "half")
    assert (reports[1].delta, reports[2].delta) == ("Hel", {"json": [1, 2.5, None]})
    assert (reports[3].level, reports[3].message, reports[3].fields) == ("warning", "a line", {"size": 3})
    assert reports[4].checkpoint == {"at": 1}
    assert ended.result == {
        "task_id": grant.task_id,
        "attempt": 2,
        "max_attempts": 3,
        "kind": "test.talk",
        "tenant": "default",
        "metadata": {"a": "b"},
        "checkpoint": [1],
        "cancelled": False,
        "deadline": deadline.isoformat(),
    }
    assert ("heavy", 30, "said by a module") in caplog.record_tuples


async def test_what_cannot_be_said_fails_where_it_is_said() -> None:
    async with play(heavy.service) as stage:
        complaints = (await outcome(stage, "test.misspeak")).result

    assert [complaint.partition(":")[0] for complaint in complaints] == [
        "Unwritable",
        "Unwritable",
        "ValueError",
        "ValueError",
        "TypeError",
    ]
    assert "the output cannot be written as JSON" in complaints[0]
    assert "the limit is 1,048,576 (BACKHAUL_MAX_RESULT)" in complaints[1]


async def test_megabytes_go_in_and_out() -> None:
    text = "ab" * 500_000

    async with play(heavy.service) as stage:
        ended = await outcome(stage, "test.big", text)

    assert ended.result == text[::-1]


@pytest.mark.parametrize(
    ("how", "code", "title", "retryable"),
    [
        ("fail", "no_text", "The handler failed the task", False),
        ("retry", "retry_requested", "The handler asked for another attempt", True),
        ("never", "handler_error", "ZeroDivisionError", False),
        ("exit", "handler_error", "SystemExit", True),
        ("lookup", "handler_error", "LookupError", True),
    ],
)
async def test_what_a_handler_raises_is_judged_as_anywhere(
    how: str, code: str, title: str, retryable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with play(heavy.service) as stage:
        failure = (await outcome(stage, "test.raise", how)).failure

    assert (failure.code, failure.title, failure.retryable) == (code, title, retryable)
    if failure.trace_id:
        assert failure.trace_id in caplog.text
        assert "in fail" in caplog.text


async def test_input_and_result_are_checked_by_the_handlers_own_types() -> None:
    async with play(heavy.service) as stage:
        misfit = (await outcome(stage, "test.shout", {"text": 7})).failure
        odd = (await outcome(stage, "test.odd")).failure

    assert (misfit.code, misfit.retryable) == ("rejected_input", False)
    assert "/input/text: " in str(misfit.detail)
    assert (odd.code, odd.retryable) == ("handler_error", False)
    assert "not of its result type" in str(odd.detail)


@pytest.mark.parametrize(
    ("how", "detail"),
    [
        ("segfault", "The process of the attempt was killed by SIGSEGV (signal 11)."),
        ("exit", "The process of the attempt ended with exit status 3."),
        (
            "SIGKILL",
            "The process of the attempt was killed by SIGKILL (signal 9), as the system does it when memory runs out.",
        ),
        ("SIGABRT", "The process of the attempt was killed by SIGABRT (signal 6)."),
    ],
)
async def test_a_crash_is_the_loss_of_one_attempt_with_its_cause(how: str, detail: str, tmp_path: Path) -> None:
    async with play(heavy.service) as stage:
        neighbour = await stage.ledger.offer("test.attend", str(tmp_path / "attending"))
        await output(stage, neighbour)

        failure = (await outcome(stage, "test.die", how)).failure
        after = await outcome(stage, "test.shout", {"text": "still"})
        running = stage.worker.view().running
        await stage.ledger.stop(neighbour, worker_id=stage.worker.id)
        await stage.ledger.outcome(neighbour)

    assert (failure.code, failure.retryable, failure.detail) == ("lost", True, detail)
    assert after.result == "STILL"
    assert running == 1


async def test_a_child_that_says_more_than_is_recorded_has_to_wait(tmp_path: Path) -> None:
    told = tmp_path / "told"

    async with play(heavy.service) as stage:
        stage.ledger.silent_on_reports = True
        grant = await stage.ledger.offer("test.flood", str(told))
        await until(lambda: told.exists() and told.read_text() == "128")
        await asyncio.sleep(0.05)
        held_at = told.read_text()
        stage.ledger.silent_on_reports = False
        await stage.clock.advance(6)
        await stage.ledger.outcome(grant)

    assert held_at == "128"
    assert len(stage.ledger.said(grant)) == 201


async def test_a_child_that_is_asked_to_stop_can_stop_in_good_order(tmp_path: Path) -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.attend", str(tmp_path / "attending"))
        await until((tmp_path / "attending").exists)

        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant) == ["output", "log", "stopped"]


async def test_a_child_that_does_not_look_is_told_by_its_next_word_and_can_still_save() -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.chat")
        await output(stage, grant)

        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant)[-2:] == ["checkpoint", "stopped"]


async def test_a_child_that_does_not_stop_is_killed_with_all_that_it_started() -> None:
    async with play(heavy.service.with_slots(1)) as stage:
        grant = await stage.ledger.offer("test.deaf", "program")
        handler, program = map(int, (await output(stage, grant)).split())

        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        await until(lambda: stage.worker._shift.attempts.running)  # type: ignore[union-attr]
        await stage.clock.advance(3)
        await stage.ledger.outcome(grant)

        await until(lambda: not alive(handler) and not alive(program))
        again = await outcome(stage, "test.pid")

    assert stage.ledger.said(grant) == ["output", "stopped"]
    assert again.result != handler


async def test_an_attempt_that_runs_too_long_is_killed_and_has_timed_out() -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.deaf", "", timeout=timedelta(seconds=30))
        await output(stage, grant)

        await stage.clock.advance(33)
        failure = (await stage.ledger.outcome(grant)).failure
        await until(lambda: stage.worker.view().running == 0)

    assert (failure.code, failure.retryable) == ("timed_out", True)
    assert "still" not in str(failure.detail)


async def test_a_replaced_attempt_is_killed_at_once() -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.deaf", "")
        await output(stage, grant)

        await stage.ledger.stop(grant, StopReason.REPLACED, worker_id=stage.worker.id)
        await until(lambda: stage.worker.view().running == 0)

    assert stage.ledger.said(grant) == ["output"]


async def test_a_worker_that_leaves_hands_back_what_it_has_killed(caplog: pytest.LogCaptureFixture) -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.deaf", "")
        await output(stage, grant)

        stage.stop.set()
        await until(lambda: stage.ledger.beats[-1].state == "draining")
        await stage.clock.advance(3)  # its grace is over; the kill takes the system's own time
        await until(lambda: stage.ledger.said(grant) == ["output", "handed_back"])
        await stage.ended()

    assert stage.ledger.said(grant) == ["output", "handed_back"]
    assert "ends with this process" not in caplog.text


async def test_a_resource_is_opened_once_a_child_and_closed_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("HEAVY_LOG", str(log))

    async with play(heavy.service) as stage:
        first = (await outcome(stage, "test.model")).result
        second = (await outcome(stage, "test.model")).result

    child = first[0]
    assert first == second == [child, child]
    assert log.read_text() == f"opened by {child}\nclosed by {child}\n"


async def test_of_the_idle_ones_only_one_stays_warm(tmp_path: Path) -> None:
    async with play(heavy.service) as stage:
        grants = [await stage.ledger.offer("test.attend", str(tmp_path / "attending")) for _ in range(3)]
        for grant in grants:
            await output(stage, grant)
            await stage.ledger.stop(grant, worker_id=stage.worker.id)
        for grant in grants:
            await stage.ledger.outcome(grant)
        pids = stage.worker._shift.processes.pids  # type: ignore[union-attr]

        await stage.clock.advance(301)
        await until(lambda: len(stage.worker._shift.processes.pids) == 1)  # type: ignore[union-attr]

    assert len(pids) == 3


@pytest.mark.timeout(150)
async def test_nothing_is_left_of_many_attempts_and_crashes() -> None:
    me = psutil.Process()

    async with play(heavy.service) as stage:
        await outcome(stage, "test.pid")
        gc.collect()
        before = me.num_fds(), len(me.children())
        for number in range(60):
            how = ("SIGKILL", "exit")[number % 2] if number % 10 == 0 else None
            ended = await (outcome(stage, "test.die", how) if how else outcome(stage, "test.pid"))
            assert ended.report == ("failed" if how else "succeeded")
        await until(lambda: (me.num_fds(), len(me.children())) <= before)


async def test_a_process_that_cannot_run_a_handler_says_why_and_the_worker_goes_on() -> None:
    async with play(unfit.service) as stage:
        first = (await outcome(stage, "test.model")).failure
        second = (await outcome(stage, "test.model")).failure

    assert (first.code, first.retryable) == ("lost", True)
    assert "could not run it: ConfigurationError: resource" in str(first.detail)
    assert "OSError: no such file" in str(first.detail)
    assert second.detail == first.detail


async def test_a_service_made_in_a_function_runs_too_if_its_parts_stand_in_a_module() -> None:
    service = Service("test")
    service.handler("test.it", run_in="process", retry=RetryPolicy(never=(LookupError,)))(heavy.fail)
    service.resource(heavy.model)
    service.handler("test.model", run_in="process")(heavy.with_model)

    async with play(service) as stage:
        failure = (await outcome(stage, "test.it", "lookup")).failure
        pids = (await outcome(stage, "test.model")).result

    assert (failure.title, failure.retryable) == ("LookupError", False)
    assert pids[0] == pids[1]


async def test_an_exclusive_attempt_is_killed_before_its_lease_can_end() -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.exclusive")
        await output(stage, grant)
        stage.ledger.silent_on_beats = True

        await stage.clock.advance(18)  # of 20
        await until(lambda: stage.worker.view().running == 0)
        await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant) == ["output", "handed_back"]


async def test_a_handler_may_have_processes_of_its_own() -> None:
    async with play(heavy.service) as stage:
        first = await outcome(stage, "test.fork")
        second = await outcome(stage, "test.fork")

    assert (first.result, second.result) == ([2, 4, 6], [2, 4, 6])


async def test_the_folder_of_the_worker_shadows_no_module_of_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "struct.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path)

    async with play(heavy.service) as stage:
        ended = await outcome(stage, "test.shout", {"text": "it"})

    assert ended.result == "IT"


async def test_a_process_leads_a_group_of_its_own() -> None:
    async with play(heavy.service) as stage:
        pid = (await outcome(stage, "test.pid")).result

        assert os.getpgid(pid) == os.getsid(pid) == pid


async def test_a_process_that_garbles_its_words_is_killed() -> None:
    async with play(heavy.service) as stage:
        failure = (await outcome(stage, "test.garbage")).failure

    assert failure.code == "lost"
    assert "The process of the attempt sent a frame of 8,589,934,590 bytes" in str(failure.detail)


async def test_a_process_that_hangs_up_costs_its_attempt() -> None:
    async with play(heavy.service) as stage:
        failure = (await outcome(stage, "test.detach")).failure

    assert failure.code == "lost"
    assert failure.detail in {  # 120 where what it had still to print could not be written
        f"The process of the attempt ended with exit status {status}." for status in (1, 120)
    }


async def test_a_system_that_allows_no_more_processes_costs_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    async with play(heavy.service) as stage:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "create_subprocess_exec", refuse)
            failure = (await outcome(stage, "test.pid")).failure
        after = await outcome(stage, "test.shout", {"text": "again"})

    assert failure.code == "lost"
    assert "No process could be started" in str(failure.detail)
    assert "Resource temporarily unavailable" in str(failure.detail)
    assert after.result == "AGAIN"


async def test_an_idle_process_that_was_killed_is_replaced() -> None:
    async with play(heavy.service) as stage:
        first = (await outcome(stage, "test.pid")).result
        os.kill(first, signal.SIGKILL)
        await until(lambda: not stage.worker._shift.processes.pids)  # type: ignore[union-attr]

        second = (await outcome(stage, "test.pid")).result

    assert second != first


async def test_a_worker_that_is_cancelled_leaves_no_process() -> None:
    async with play(heavy.service) as stage:
        grant = await stage.ledger.offer("test.deaf", "program")
        pids = [int(pid) for pid in (await output(stage, grant)).split()]

        stage.run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.run

        await until(lambda: not any(alive(pid) for pid in pids))
