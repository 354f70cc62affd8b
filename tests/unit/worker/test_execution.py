"""What a handler returns and raises, and what the ledger hears of it."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict

from backhaul import Context, Fail, Retry, RetryPolicy, Service
from backhaul_contracts.failures import Failure
from backhaul_contracts.reports import FailedReport
from tests.support.deadlines import until
from tests.unit.worker.stage import Stage, play


class Document(BaseModel):
    text: str


class Summary(BaseModel):
    sentences: list[str]


@dataclass
class Point:
    x: int


class Size(TypedDict):
    width: int


class Dated(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


async def failure(stage: Stage, kind: str = "test.it", input: Any = None, **options: Any) -> Failure:
    """How a task ends that is offered now."""
    outcome = await stage.ledger.outcome(await stage.ledger.offer(kind, input, **options))
    assert isinstance(outcome, FailedReport)
    return outcome.failure


async def test_the_result_of_an_async_handler_is_reported() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(document: Document) -> Summary:
        return Summary(sentences=document.text.split("."))

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", {"text": "a.b"})
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "succeeded"
    assert outcome.result == {"sentences": ["a", "b"]}
    assert (outcome.token, outcome.number) == (grant.token, 1)


async def test_a_def_handler_runs_in_a_thread_of_its_own() -> None:
    service = Service("test")

    @service.handler("test.it")
    def handle(name: str) -> str:
        return f"{name} in {threading.current_thread().name}"

    async with play(service) as stage:
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.it", "it"))

    assert outcome.result == "it in test-1"


async def test_dataclasses_typed_dicts_scalars_and_none_are_types_too() -> None:
    service = Service("test")

    @service.handler("test.point")
    async def point(point: Point) -> Size:
        return {"width": point.x}

    @service.handler("test.nothing")
    async def nothing(nothing: None) -> None:
        return None

    async with play(service) as stage:
        first = await stage.ledger.outcome(await stage.ledger.offer("test.point", {"x": 3}))
        second = await stage.ledger.outcome(await stage.ledger.offer("test.nothing", None))

    assert (first.result, second.result) == ({"width": 3}, None)


async def test_a_strict_model_reads_its_dates_from_text() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(dated: Dated) -> int:
        return dated.day.year

    async with play(service) as stage:
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.it", {"day": "2026-01-31"}))

    assert outcome.result == 2026


async def test_an_input_that_does_not_fit_is_rejected_for_good_with_pointers() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(document: Document) -> None:
        raise AssertionError("it must not be called")

    async with play(service) as stage:
        failed = await failure(stage, input={"text": 7})

    assert (failed.code, failed.retryable) == ("rejected_input", False)
    assert "/input/text: " in str(failed.detail)


async def test_an_exception_is_a_retryable_failure_with_its_stack_in_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        raise LookupError("no such thing \x00 \ud800")

    async with play(service) as stage:
        failed = await failure(stage)

    assert (failed.code, failed.title, failed.retryable) == ("handler_error", "LookupError", True)
    assert failed.detail == "no such thing \ufffd ?"
    assert failed.trace_id is not None
    assert failed.trace_id in caplog.text
    assert "raise LookupError" in caplog.text


async def test_an_exception_that_the_policy_never_retries_is_final() -> None:
    service = Service("test")

    @service.handler("test.it", retry=RetryPolicy(never=(LookupError,)))
    async def handle(nothing: None) -> None:
        raise KeyError("gone")

    async with play(service) as stage:
        failed = await failure(stage)

    assert (failed.code, failed.retryable) == ("handler_error", False)


async def test_retry_asks_for_another_attempt_after_a_while() -> None:
    service = Service("test")

    @service.handler("test.it")
    def handle(nothing: None) -> None:
        raise Retry(after="30s", reason="the printer is warm")

    async with play(service) as stage:
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.it"))

    assert outcome.retry_after == timedelta(seconds=30)
    assert (outcome.failure.code, outcome.failure.retryable) == ("retry_requested", True)
    assert outcome.failure.detail == "the printer is warm"


async def test_fail_ends_the_task_with_the_services_own_code() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        raise Fail("unsupported_language", "no Latin")

    async with play(service) as stage:
        failed = await failure(stage)

    assert (failed.code, failed.detail, failed.retryable) == ("unsupported_language", "no Latin", False)


async def test_a_signal_counts_inside_an_exception_group_too() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())

    async def refuse() -> None:
        raise Fail("hopeless")

    async with play(service) as stage:
        failed = await failure(stage)

    assert failed.code == "hopeless"


async def test_sys_exit_in_a_handler_fails_its_task_and_nothing_else() -> None:
    service = Service("test")

    @service.handler("test.exit")
    async def leave(nothing: None) -> None:
        raise SystemExit(3)

    @service.handler("test.stay")
    async def stay(nothing: None) -> str:
        return "here"

    async with play(service) as stage:
        failed = await failure(stage, "test.exit")
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.stay"))

    assert failed.title == "SystemExit"
    assert outcome.result == "here"


async def test_a_handler_that_cancels_itself_has_failed() -> None:
    service = Service("test")

    @service.handler("test.loop")
    async def in_loop(nothing: None) -> None:
        raise asyncio.CancelledError

    @service.handler("test.thread")
    def in_thread(nothing: None) -> None:
        raise asyncio.CancelledError

    async with play(service) as stage:
        failures = [await failure(stage, kind) for kind in ("test.loop", "test.thread")]

    assert [(failed.code, failed.title) for failed in failures] == [("handler_error", "CancelledError")] * 2


async def test_a_result_of_another_type_is_a_failure_that_names_it() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> Summary:
        return 7  # type: ignore[return-value]

    async with play(service) as stage:
        failed = await failure(stage)

    assert (failed.code, failed.retryable) == ("handler_error", False)
    assert "test.it" in failed.title
    assert "type int" in str(failed.detail)


async def test_a_result_that_is_not_json_is_a_failure_that_names_it() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> Any:
        return {"lock": threading.Lock()}

    async with play(service) as stage:
        failed = await failure(stage)

    assert "cannot be written as JSON" in str(failed.detail)


async def test_a_dict_will_do_for_a_model() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> Summary:
        return {"sentences": ("a",)}  # type: ignore[return-value]

    async with play(service) as stage:
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.it"))

    assert outcome.result == {"sentences": ["a"]}


async def test_a_result_that_is_too_large_is_a_failure_that_names_the_limit() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> str:
        return "x" * 2000

    async with play(service, max_result=1000) as stage:
        failed = await failure(stage)

    assert "2,002 bytes large, the limit is 1,000 (BACKHAUL_MAX_RESULT)" in str(failed.detail)


async def test_an_attempt_that_runs_too_long_times_out() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        await asyncio.Event().wait()

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=timedelta(seconds=30))
        await until(lambda: stage.worker.view().running == 1)

        await stage.clock.advance(31)
        outcome = await stage.ledger.outcome(grant)

    assert (outcome.failure.code, outcome.failure.retryable) == ("timed_out", True)


async def test_a_thread_that_overruns_its_timeout_is_told_and_keeps_its_slot(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("test", slots=1)
    go, told = threading.Event(), threading.Event()

    @service.handler("test.it", grace="2s")
    def handle(nothing: None, ctx: Context) -> str:
        go.wait(5)
        if ctx.cancelled:
            told.set()
        return "late"

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=timedelta(seconds=30))
        await until(lambda: stage.worker.view().running == 1)

        await stage.clock.advance(33)
        outcome = await stage.ledger.outcome(grant)
        running = stage.worker.view().running
        go.set()
        await until(lambda: stage.worker.view().running == 0)

    assert outcome.failure.code == "timed_out"
    assert running == 1
    assert told.is_set()
    assert "keeps its slot" in caplog.text
    assert stage.ledger.said(grant) == ["failed"]


async def test_a_result_that_comes_after_the_timeout_is_a_timeout() -> None:
    service = Service("test")
    go = threading.Event()

    @service.handler("test.it")
    def handle(nothing: None) -> str:
        go.wait(5)
        return "late"

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=timedelta(seconds=30))
        await until(lambda: stage.worker.view().running == 1)

        await stage.clock.advance(31)
        go.set()
        outcome = await stage.ledger.outcome(grant)

    assert outcome.failure.code == "timed_out"


async def test_an_expected_failure_leaves_no_stack_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("test")
    caplog.set_level(logging.INFO, "backhaul.worker")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        raise Fail("nope")

    async with play(service) as stage:
        await failure(stage)

    assert "nope" in caplog.text
    assert "Traceback" not in caplog.text
