import threading

import pytest

from backhaul.client import AsyncClient, Conflict, NotSucceeded, TaskCancelled, TaskExpired, TaskFailed
from backhaul_contracts.events import LARGEST_PAGE
from backhaul_contracts.problems import ProblemCode
from tests.unit.client.records import LIFE, TASK_ID, TIME, event, page, snapshot, sse, task
from tests.unit.client.scripted_gateway import Drop, Reply, ScriptedGateway, Stream, refusal

FAILURE = {"code": "handler_error", "title": "ValueError", "detail": "no sentence", "retryable": True, "attempt": 3}


async def test_the_result_comes_when_the_task_has_succeeded() -> None:
    done = Reply(body=task("succeeded", result={"sentences": ["Hello"]}))
    with ScriptedGateway(Reply(202, task()), Stream([sse(snapshot("queued"), *LIFE[2:])]), done) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.submit("digest.summarise", {"text": "…"})
            result = await handle.result(timeout="5m")

    assert result == {"sentences": ["Hello"]}
    assert handle.state.status == "succeeded"


async def test_a_result_that_is_there_costs_no_request() -> None:
    with ScriptedGateway(Reply(body=task("succeeded", result=[1, 2]))) as gateway:
        async with AsyncClient(gateway.url) as client:
            result = await (await client.get(TASK_ID)).result()

    assert result == [1, 2]
    assert len(gateway.requests) == 1


async def test_a_task_that_ended_unseen_is_known_from_the_snapshot() -> None:
    with ScriptedGateway(Reply(body=task("running")), Stream([sse(snapshot("succeeded"))])) as gateway:
        async with AsyncClient(gateway.url) as client:
            result = await (await client.get(TASK_ID)).result()

    assert result is None
    assert gateway.left == 0


async def test_a_task_that_was_retried_while_its_failure_was_read_is_waited_for_anew() -> None:
    failing = Stream([sse(snapshot("running"), event(3, "task.failed"))])
    rerun = Stream([sse(snapshot("queued"), event(3, "task.started"), event(4, "task.succeeded"))])
    script = failing, Reply(body=task("queued")), Reply(204), Reply(body=task()), rerun, Reply(body=task("succeeded"))
    with ScriptedGateway(Reply(body=task("running")), *script) as gateway:
        async with AsyncClient(gateway.url) as client:
            state = await (await client.get(TASK_ID)).wait()

    assert state.status == "succeeded"
    assert gateway.left == 0


@pytest.mark.parametrize(
    ("record", "error", "sentence"),
    [
        (
            task("failed", attempt=3, error=FAILURE),
            TaskFailed,
            f"task {TASK_ID} failed in attempt 3: ValueError: no sentence",
        ),
        (
            task("cancelled", cancel={"requested_at": TIME, "reason": "too late", "outcome": "confirmed"}),
            TaskCancelled,
            f"task {TASK_ID} was cancelled: too late",
        ),
        (
            task("expired", error={"code": "expired", "title": "The task expired"}),
            TaskExpired,
            f"task {TASK_ID} expired: The task expired",
        ),
    ],
)
async def test_another_end_is_an_error_of_its_own_with_the_record(
    record: dict[str, object], error: type[NotSucceeded], sentence: str
) -> None:
    with ScriptedGateway(Reply(body=record)) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            with pytest.raises(error) as caught:
                await handle.result()

    assert str(caught.value) == sentence
    assert caught.value.task.status == record["status"]


async def test_a_failure_is_told_with_its_code() -> None:
    with ScriptedGateway(Reply(body=task("failed", error=FAILURE))) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            with pytest.raises(TaskFailed) as caught:
                await handle.result()

    assert caught.value.failure is not None
    assert caught.value.failure.code == "handler_error"


async def test_waiting_ends_in_time_and_says_that_the_task_goes_on() -> None:
    released = threading.Event()
    stream = Stream([sse(snapshot("running"))], until=released)
    with ScriptedGateway(Reply(202, task()), stream) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.submit("a.b")
            with pytest.raises(TimeoutError, match=f"task {TASK_ID} was not done within 200ms: it goes on"):
                await handle.result(timeout="200ms")
        released.set()

    assert handle.state.status == "running"


async def test_output_is_read_from_the_log_in_pages() -> None:
    full = [event(seq, delta="a") for seq in range(1, 1001)]
    with ScriptedGateway(
        Reply(body=task("running")), Reply(body=page(*full)), Reply(body=page(event(1001, delta="b")))
    ) as gateway:
        async with AsyncClient(gateway.url) as client:
            output = await (await client.get(TASK_ID)).output()

    assert output.text == "a" * 1000 + "b"
    assert gateway.requests[2].query["after"] == ["1000"]


async def test_a_page_that_is_short_since_its_events_are_large_is_not_taken_for_the_last() -> None:
    large = [event(1, delta="a" * LARGEST_PAGE)]
    with ScriptedGateway(
        Reply(body=task("running")), Reply(body=page(*large)), Reply(body=page(event(2, delta="b")))
    ) as gateway:
        async with AsyncClient(gateway.url) as client:
            output = await (await client.get(TASK_ID)).output()

    assert output.text == "a" * LARGEST_PAGE + "b"


async def test_a_cancel_tells_reason_and_grace_and_updates_the_record() -> None:
    with ScriptedGateway(Reply(body=task("running")), Reply(202, task("cancelling"))) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            state = await handle.cancel("not needed", grace="5s")

    assert state.status == handle.state.status == "cancelling"
    assert gateway.requests[1].body == {"reason": "not needed", "grace": "5s"}


async def test_a_task_that_cannot_be_retried_is_a_conflict() -> None:
    with ScriptedGateway(Reply(body=task("succeeded")), refusal(ProblemCode.NOT_RETRYABLE)) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            with pytest.raises(Conflict) as caught:
                await handle.retry()

    assert caught.value.problem.code == "not_retryable"


async def test_a_replay_is_another_task_with_the_same_or_another_input() -> None:
    other = "tsk_01kz0000000000000000000001"
    again = Reply(202, task(id=other, replay_of=TASK_ID))
    with ScriptedGateway(Reply(body=task("succeeded")), again, again) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            replayed = await handle.replay()
            await handle.replay(input=None)

    assert replayed.id == other
    assert [request.body for request in gateway.requests[1:]] == [{}, {"input": None}]


async def test_a_replay_that_may_not_have_arrived_is_repeated_under_the_same_random_key() -> None:
    again = Reply(202, task(id="tsk_01kz0000000000000000000001", replay_of=TASK_ID))
    with ScriptedGateway(Reply(body=task("succeeded")), Drop(), again) as gateway:
        async with AsyncClient(gateway.url) as client:
            await (await client.get(TASK_ID)).replay()

    first, second = (request.headers["idempotency-key"] for request in gateway.requests[1:])
    assert first == second


async def test_a_deleted_task_is_gone_without_a_word() -> None:
    with ScriptedGateway(Reply(body=task("succeeded")), Reply(204)) as gateway:
        async with AsyncClient(gateway.url) as client:
            await (await client.get(TASK_ID)).delete()

    assert (gateway.requests[1].method, gateway.requests[1].path) == ("DELETE", f"/v1/tasks/{TASK_ID}")
