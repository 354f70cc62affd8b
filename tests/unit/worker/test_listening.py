"""A service hears of tasks: each event is handled, tried again, or set aside with its reason."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from backhaul import Context, Fail, Retry, RetryPolicy, Service, TaskEvent
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.messages.deadletters import origin
from backhaul.core.ports.broker import Delivery, Message
from backhaul_contracts.envelope import CLOUDEVENT
from backhaul_contracts.events import PublicEvent
from backhaul_contracts.failures import Failure
from backhaul_contracts.messages import Published
from tests.support.deadlines import until
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import Stage, play

QUEUE = "backhaul.on.index.hear"
TIME = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ERROR = Failure(code="no_text", title="The handler failed the task", retryable=False)


def published(event: str = "succeeded", *, kind: str = "digest.summarise", number: int = 1) -> Message:
    """An event as the ledger publishes it."""
    data: dict[str, object] = {
        "task_id": f"tsk_{number}",
        "kind": kind,
        "seq": 4,
        "attempt": 1,
        "status": event,
        "metadata": {"a": "b"},
    }
    data |= {"result": {"n": number}} if event == "succeeded" else {"error": ERROR.model_dump()}
    message = Published(
        id=f"tsk_{number}-4",
        source="/backhaul/ledger",
        type=f"dev.backhaul.task.{event}",
        time=TIME,
        tenantid="acme",  # type: ignore[call-arg]
        data=PublicEvent.model_validate(data),
    )
    return Message(
        exchange=topology.EVENTS,
        routing_key=f"task.{kind}.{event}",
        body=message.model_dump_json().encode(),
        content_type=CLOUDEVENT,
        message_id=message.id,
        mandatory=False,
    )


async def publish(stage: Stage, *messages: Message) -> None:
    await stage.ledger.broker.publish(messages)


async def dead(stage: Stage) -> Delivery:
    [letter] = await stage.ledger.broker.get(topology.DEAD, 5)
    return letter


class Ears:
    """A service that hears, and how it went. `failures` are raised, one for each call, before any call succeeds."""

    def __init__(self, *patterns: str, failures: int = 0, error: Exception | None = None, **options: object) -> None:
        self.service = Service("index")
        self.heard: list[TaskEvent] = []
        self.calls = 0
        self._failures = failures
        self._error = error or RuntimeError("the index is away")

        @self.service.on(*(patterns or ("task.#.succeeded",)), **options)  # type: ignore[arg-type]
        async def hear(event: TaskEvent) -> None:
            self.calls += 1
            if self._failures:
                self._failures -= 1
                raise self._error
            self.heard.append(event)


async def test_an_event_tells_all_that_is_known_of_its_task() -> None:
    ears = Ears()

    async with play(ears.service) as stage:
        await publish(stage, published())
        await until(lambda: ears.heard)

    assert ears.heard == [
        TaskEvent(
            type="task.succeeded",
            task_id="tsk_1",
            kind="digest.summarise",
            seq=4,
            attempt=1,
            status="succeeded",
            result={"n": 1},
            error=None,
            key=None,
            metadata={"a": "b"},
            parent_id=None,
            time=TIME,
            tenant="acme",
        )
    ]
    assert ears.heard[0].id == "tsk_1-4"


async def test_a_failed_task_comes_with_its_error() -> None:
    ears = Ears("task.#.failed")

    async with play(ears.service) as stage:
        await publish(stage, published("failed"))
        await until(lambda: ears.heard)

    assert (ears.heard[0].error, ears.heard[0].result) == (ERROR, None)


async def test_only_what_matches_a_pattern_is_heard_and_once_if_several_do() -> None:
    ears = Ears("task.digest.*.succeeded", "task.#.failed", "task.digest.#")

    async with play(ears.service) as stage:
        await publish(stage, published(kind="linkcheck.check"), published("failed", kind="linkcheck.check", number=2))
        await publish(stage, published(number=3), published("failed", number=4))
        await until(lambda: len(ears.heard) == 3)
        await turns()

    assert [event.task_id for event in ears.heard] == ["tsk_2", "tsk_3", "tsk_4"]


async def test_a_service_may_only_listen() -> None:
    ears = Ears()

    async with play(ears.service) as stage:
        announced = stage.ledger.beats[0].announcement

    assert announced is not None
    assert announced.kinds == []
    assert [(interest.name, interest.patterns) for interest in announced.interests] == [("hear", ["task.#.succeeded"])]


async def test_a_plain_def_runs_in_a_thread_and_may_take_resources() -> None:
    service = Service("index")
    heard: list[tuple[str, str]] = []

    @service.resource
    async def index() -> AsyncIterator[dict[str, str]]:
        yield {"where": "the index"}

    @service.on("task.#.succeeded")
    def hear(event: TaskEvent, index: dict[str, str]) -> None:
        heard.append((index["where"], threading.current_thread().name))

    async with play(service) as stage:
        await publish(stage, published())
        await until(lambda: heard)

    assert heard == [("the index", "index-on-1")]


async def test_as_many_events_are_handled_at_once_as_there_are_slots() -> None:
    service, go, running = Service("index"), asyncio.Event(), 0

    @service.on("task.#.succeeded", slots=2)
    async def hear(event: TaskEvent) -> None:
        nonlocal running
        running += 1
        await go.wait()

    async with play(service) as stage:
        await publish(stage, *(published(number=number) for number in range(5)))
        await until(lambda: running == 2)
        await turns()
        at_once, waiting = running, await stage.ledger.broker.ready(QUEUE)
        go.set()
        await until(lambda: running == 5)

    assert (at_once, waiting) == (2, 3)


async def test_a_failure_is_tried_again_after_a_back_off_and_not_before() -> None:
    ears = Ears(failures=1, error=Retry(after="30s"))

    async with play(ears.service) as stage:
        await publish(stage, published())
        await until(lambda: ears.calls == 1)
        await stage.clock.advance(29)
        early = ears.calls
        await stage.clock.advance(2)

    assert early == 1
    assert [event.task_id for event in ears.heard] == ["tsk_1"]


async def test_what_fails_every_time_is_set_aside_with_its_reason_for_this_queue_alone() -> None:
    ears = Ears(failures=9, retry=RetryPolicy(max_attempts=3, base="1s", cap="10s"))

    async with play(ears.service) as stage:
        await publish(stage, published())
        await until(lambda: ears.calls == 1)
        await stage.clock.advance(25)
        letter = await dead(stage)
        left = await stage.ledger.broker.ready(QUEUE)

    told = origin(topology.DEAD, letter)
    assert (ears.calls, left) == (3, 0)
    assert (told.reason, told.detail) == ("handler_error", "RuntimeError: the index is away")
    assert (told.exchange, told.routing_key) == ("", QUEUE)
    assert letter.body == published().body


async def test_what_can_never_succeed_is_set_aside_at_once() -> None:
    ears = Ears(failures=1, error=Fail("no_index", "there is none"))

    async with play(ears.service) as stage:
        await publish(stage, published())
        await until(lambda: ears.calls == 1)
        await turns()
        letter = await dead(stage)

    assert origin(topology.DEAD, letter).reason == "no_index"


async def test_what_is_no_event_is_set_aside_and_hinders_nothing() -> None:
    ears = Ears()
    foreign = Message(exchange="", routing_key=QUEUE, body=b'{"type": "x"}', content_type="application/json")

    async with play(ears.service) as stage:
        await publish(stage, foreign, published())
        await until(lambda: ears.heard)
        await turns()
        letter = await dead(stage)

    assert origin(topology.DEAD, letter).reason == "unreadable"


async def test_a_function_that_takes_too_long_is_stopped_and_tried_again() -> None:
    service, calls = Service("index"), 0

    @service.on("task.#.succeeded", timeout="10s", retry=RetryPolicy(base="0s", cap="0s"))
    async def hear(event: TaskEvent) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()

    async with play(service) as stage:
        await publish(stage, published())
        await until(lambda: calls == 1)
        await stage.clock.advance(11)
        await until(lambda: calls == 2)

    assert calls == 2


async def test_a_worker_that_leaves_finishes_what_runs_within_its_grace() -> None:
    service, go, done = Service("index"), asyncio.Event(), list[str]()

    @service.on("task.#.succeeded", slots=1)
    async def hear(event: TaskEvent) -> None:
        await go.wait()
        done.append(event.task_id)

    async with play(service, drain_grace=timedelta(minutes=1)) as stage:
        await publish(stage, published(number=1), published(number=2))
        await until(lambda: stage.worker.ready)
        await turns()
        stage.stop.set()
        await stage.clock.advance(5)
        go.set()
        await stage.ended()
        left = await stage.ledger.broker.ready(QUEUE)

    assert (done, left) == (["tsk_1"], 1)


@pytest.mark.parametrize("stuck", [True, False], ids=["runs", "waits for its next try"])
async def test_what_a_leaving_worker_cannot_finish_goes_back_to_the_queue(stuck: bool) -> None:
    service, calls = Service("index"), 0

    @service.on("task.#.succeeded")
    async def hear(event: TaskEvent) -> None:
        nonlocal calls
        calls += 1
        if stuck:
            await asyncio.Event().wait()
        raise Retry(after="1m")

    async with play(service, drain_grace=timedelta(seconds=3)) as stage:
        await publish(stage, published())
        await until(lambda: calls == 1)
        await turns()
        stage.stop.set()
        await stage.clock.advance(5)
        await stage.ended()
        await stage.broker.stop()
        left = await stage.ledger.broker.ready(QUEUE)

    assert (calls, left) == (1, 1)


def no_event(event: str) -> None: ...
def with_context(event: TaskEvent, ctx: Context) -> None: ...
def bare(event: TaskEvent, index) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def good(event: TaskEvent) -> None: ...


@pytest.mark.parametrize(
    ("patterns", "function", "options", "sentence"),
    [
        ((), good, {}, "names no events"),
        (("digest.*.succeeded",), good, {}, "begins with no 'task'"),
        (("task.succeeded",), good, {}, "has too few words"),
        (("task.digest.*.progress",), good, {}, "is told on the streams of a task alone"),
        (("task.digest.*.done",), good, {}, "is no event: end it in one of accepted"),
        (("task.dig*.succeeded",), good, {}, "has 'dig*' for a word"),
        (("task.#.failed",), no_event, {}, "annotate its first parameter with backhaul.TaskEvent"),
        (("task.#.failed",), with_context, {}, "wants a Context"),
        (("task.#.failed",), bare, {}, "a parameter 'index' that nothing can be given to"),
        (("task.#.failed",), good, {"slots": 0}, "slots=0"),
        (("task.#.failed",), good, {"timeout": 0}, "timeout=0"),
        (("task.#.failed",), good, {"timeout": "10m"}, "RabbitMQ takes it back after 30"),
        (("task.#.failed",), good, {"name": "no good"}, "has no name for a queue"),
        (("task.#.failed",), len, {}, "decorate a function"),
    ],
)
def test_a_listener_that_cannot_work_is_refused_in_one_sentence(
    patterns: tuple[str, ...], function: object, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Service("index").on(*patterns, **options)(function)  # type: ignore[arg-type,type-var]

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_name_is_used_once() -> None:
    service = Service("index")
    service.on("task.#.failed")(good)

    with pytest.raises(ConfigurationError, match=r"listener good .* is defined twice in service index"):
        service.on("task.#.succeeded")(good)


def test_more_slots_for_a_service_leave_it_its_ears() -> None:
    service = Service("index")
    service.on("task.#.failed")(good)

    assert list(service.with_slots(3).listeners) == ["good"]
