import threading
import time

import pytest

from backhaul.client import AsyncClient, ConnectionFailed, Event, NotFound, UnexpectedAnswer
from backhaul_contracts.problems import ProblemCode
from tests.unit.client.records import LIFE, TASK_ID, event, page, snapshot, sse, task
from tests.unit.client.scripted_gateway import Answer, Drop, Reply, ScriptedGateway, Stream, refusal

END = Reply(204)


async def follow(gateway: ScriptedGateway, *, after: int | None = 0, patience: str = "30s") -> list[Event]:
    async with AsyncClient(gateway.url, patience=patience) as client:
        handle = await client.get(TASK_ID)
        return [event async for event in handle.events(after=after)]


def gateway_of(*script: Answer) -> ScriptedGateway:
    return ScriptedGateway(Reply(body=task()), *script)


def seqs(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


async def test_all_events_come_in_order_to_the_end_of_the_task() -> None:
    with gateway_of(Stream([sse(each) for each in LIFE]), END) as gateway:
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert [events[3].data, events[-1].type] == [{"delta": "Hel"}, "task.succeeded"]
    assert gateway.requests[1].path == f"/v1/tasks/{TASK_ID}/events"
    assert gateway.requests[1].query == {"after": ["0"]}
    assert gateway.requests[1].headers["accept"] == "text/event-stream"


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Stream([sse(*LIFE[:3])], broken=True), id="broken between events"),
        pytest.param(Stream([sse(*LIFE[:3]), sse(LIFE[3])[:40]], broken=True), id="broken inside an event"),
        pytest.param(Stream([sse(*LIFE[:3])]), id="closed in order"),
        pytest.param(Stream([sse(*LIFE[:3]), sse(LIFE[3])[:-1]]), id="closed inside an event"),
    ],
)
async def test_a_stream_that_ends_early_is_resumed_behind_the_last_event(first: Stream) -> None:
    with gateway_of(first, Stream([sse(*LIFE[3:])]), END) as gateway:
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert gateway.requests[2].headers["last-event-id"] == "3"
    assert gateway.requests[3].headers["last-event-id"] == "6"


async def test_every_break_is_survived() -> None:
    breaks = [Stream([sse(each)], broken=True) for each in LIFE]
    outages: list[Answer] = [Drop(), refusal(ProblemCode.UNAVAILABLE, headers={"Retry-After": "0"}), Reply(502)]
    script = [step for broken in breaks for step in (broken, *outages[:1])] + outages

    with gateway_of(*script, END) as gateway:
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert gateway.left == 0


async def test_repeated_events_are_dropped() -> None:
    streams = Stream([sse(*LIFE[:2], LIFE[1], LIFE[0])], broken=True), Stream([sse(*LIFE[1:4], *LIFE[2:])])

    with gateway_of(*streams, END) as gateway:
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]


async def test_skipped_events_are_read_from_the_log() -> None:
    with gateway_of(Stream([sse(LIFE[0], LIFE[4], LIFE[5])]), Reply(body=page(*LIFE[1:5])), END) as gateway:
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert gateway.requests[2].headers["accept"] == "application/json"
    assert gateway.requests[2].query == {"after": ["1"], "limit": ["1000"]}


async def test_the_log_is_read_page_by_page_until_it_meets_the_stream() -> None:
    pages = Reply(body=page(*LIFE[:2])), Reply(body=page(*LIFE[2:6]))

    with gateway_of(Stream([sse(LIFE[4], LIFE[5])]), *pages, END) as gateway:
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert [request.query.get("after") for request in gateway.requests[1:4]] == [["0"], ["0"], ["2"]]


async def test_a_log_that_does_not_know_a_skipped_event_yet_is_asked_again_by_resuming() -> None:
    script = Stream([sse(LIFE[0], LIFE[3])]), Reply(body=page()), Stream([sse(*LIFE[1:])]), END

    with gateway_of(*script) as gateway:
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert gateway.requests[3].headers["last-event-id"] == "1"


async def test_skipped_events_that_are_no_longer_kept_become_a_gap() -> None:
    gap = snapshot("running", seq=4, type="stream.gap")
    script = Stream([sse(LIFE[0], LIFE[3])]), refusal(ProblemCode.CURSOR_EXPIRED), Stream([sse(gap, *LIFE[4:])]), END

    with gateway_of(*script) as gateway:
        events = await follow(gateway)

    assert [(event.seq, event.type) for event in events] == [
        (1, "task.accepted"),
        (4, "stream.gap"),
        (5, "task.output"),
        (6, "task.succeeded"),
    ]


async def test_a_hole_that_stays_is_raised_and_not_asked_for_for_ever() -> None:
    hole: list[Answer] = [Stream([sse(LIFE[3])]), Reply(body=page())]

    with gateway_of(*hole * 30) as gateway, pytest.raises(ConnectionFailed, match="event 1 is missing"):
        await follow(gateway, patience="300ms")


async def test_without_a_cursor_it_begins_with_a_snapshot_and_resumes_behind_it() -> None:
    with gateway_of(Stream([sse(snapshot("running", seq=4))], broken=True), Stream([sse(*LIFE[4:])]), END) as gateway:
        events = await follow(gateway, after=None)

    assert [(event.seq, event.type) for event in events] == [
        (4, "task.snapshot"),
        (5, "task.output"),
        (6, "task.succeeded"),
    ]
    assert gateway.requests[1].query == {}
    assert "last-event-id" not in gateway.requests[1].headers
    assert gateway.requests[2].headers["last-event-id"] == "4"


async def test_an_unasked_snapshot_is_filled_up_from_the_log() -> None:
    script = (
        Stream([sse(LIFE[0])], broken=True),
        Stream([sse(snapshot("running", seq=4), *LIFE[4:])]),
        Reply(body=page(*LIFE[1:4])),
        END,
    )

    with gateway_of(*script) as gateway:
        events = await follow(gateway)

    assert [event.type for event in events] == [each["type"] for each in LIFE]


async def test_a_task_that_is_done_is_a_snapshot_and_nothing_more() -> None:
    with gateway_of(Stream([sse(snapshot("succeeded", seq=6))]), END) as gateway:
        events = await follow(gateway, after=None)

    assert [event.type for event in events] == ["task.snapshot"]
    assert gateway.left == 0


async def test_a_cursor_at_the_end_has_no_events() -> None:
    with gateway_of(END) as gateway:
        events = await follow(gateway, after=6)

    assert events == []
    assert gateway.requests[1].query == {"after": ["6"]}


async def test_the_events_of_a_retried_task_go_on_behind_its_first_end() -> None:
    rerun = event(7, "task.queued"), event(8, "task.started", attempt=2), event(9, "task.succeeded", attempt=2)
    first_run = *LIFE[:5], event(6, "task.failed")

    with gateway_of(Stream([sse(*first_run)]), Stream([sse(*rerun)]), END) as gateway:
        events = await follow(gateway)

    assert seqs(events) == list(range(1, 10))


async def test_a_planned_close_is_followed_by_the_pause_that_was_asked_for() -> None:
    closing = Stream([sse(*LIFE[:3]), b": going down\nretry: 400\n\n"])
    with gateway_of(closing, Stream([sse(*LIFE[3:])]), END) as gateway:
        began = time.monotonic()
        events = await follow(gateway)

    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert time.monotonic() - began >= 0.4


async def test_events_are_handed_over_while_the_stream_is_open() -> None:
    seen = threading.Event()
    with gateway_of(Stream([sse(LIFE[0])], until=seen), Stream([sse(*LIFE[1:])]), END) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            events = []
            async for each in handle.events():
                events.append(each)
                seen.set()

    assert seqs(events) == [1, 2, 3, 4, 5, 6]


async def test_leaving_the_loop_closes_the_stream() -> None:
    released = threading.Event()
    with gateway_of(Stream([sse(*LIFE[:2])], until=released), Reply(body=task("running"))) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            async for each in handle.events():
                if each.seq == 2:
                    break
            state = await handle.refresh()
        released.set()

    assert state.status == "running"


async def test_texts_with_unicode_line_separators_arrive_whole() -> None:
    text = "one\u2028two\x85three"

    with gateway_of(Stream([sse(event(1, delta=text), event(2, "task.succeeded"))]), END) as gateway:
        events = await follow(gateway)

    assert events[0].data["delta"] == text


async def test_a_refusal_for_good_ends_the_loop() -> None:
    script = Stream([sse(*LIFE[:3])], broken=True), refusal(ProblemCode.GONE)

    with gateway_of(*script) as gateway, pytest.raises(NotFound):
        await follow(gateway)

    assert gateway.left == 0


@pytest.mark.parametrize(
    "after_the_end",
    [
        pytest.param([refusal(ProblemCode.NOT_FOUND)], id="deleted"),
        pytest.param([refusal(ProblemCode.GONE)], id="no longer kept"),
        pytest.param([Drop()] * 50, id="the gateway is gone"),
        pytest.param([Stream([])] * 50, id="nothing but an empty stream"),
    ],
)
async def test_who_has_heard_the_end_needs_no_gateway_to_say_that_it_was_the_end(after_the_end: list[Answer]) -> None:
    with gateway_of(Stream([sse(*LIFE)]), *after_the_end) as gateway:
        events = await follow(gateway, patience="200ms")

    assert seqs(events) == [1, 2, 3, 4, 5, 6]


async def test_an_outage_longer_than_the_patience_ends_the_loop() -> None:
    drops: list[Answer] = [Drop()] * 50

    with gateway_of(Stream([sse(*LIFE[:3])], broken=True), *drops) as gateway, pytest.raises(ConnectionFailed):
        await follow(gateway, patience="200ms")


async def test_a_page_in_place_of_a_stream_is_unexpected() -> None:
    answer = Reply(200, {"hello": "world"})

    with gateway_of(answer) as gateway, pytest.raises(UnexpectedAnswer, match="no event stream"):
        await follow(gateway)
