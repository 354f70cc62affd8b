import asyncio

from backhaul.gateway.push.topic import Frame, Topic, Watcher, frame
from backhaul_contracts.ids import TaskId

TASK_ID = TaskId("tsk_01m86m4bnpe27a597p8ew55k2g")


def event(seq: int, type: str = "task.output", size: int = 2) -> Frame:
    return frame(seq, type, b'"' + b"x" * (size - 2) + b'"')


def topic(*seqs: int) -> Topic:
    made = Topic(TASK_ID)
    for seq in seqs:
        assert made.publish(event(seq))
    return made


def seqs(frames: list[Frame] | None) -> list[int] | None:
    return None if frames is None else [item.seq for item in frames]


def test_a_frame_is_what_a_stream_shows() -> None:
    shown = frame(17, "task.output", b'{"seq":17}')

    assert shown.sse == b'id: 17\nevent: task.output\ndata: {"seq":17}\n\n'
    assert not shown.terminal
    assert frame(18, "task.failed", b"{}").terminal


def test_what_follows_a_cursor_is_in_the_buffer_or_not_there_yet() -> None:
    known = topic(5, 6, 7)

    assert seqs(known.after(4)) == [5, 6, 7]
    assert seqs(known.after(6)) == [7]
    assert seqs(known.after(7)) == []
    assert seqs(known.after(99)) == []
    assert seqs(known.after(3)) is None


def test_nothing_follows_as_long_as_nothing_is_known() -> None:
    assert seqs(topic().after(0)) == []


def test_what_is_known_already_is_dropped() -> None:
    known = topic(5, 6)

    assert known.publish(event(5))
    assert seqs(known.after(4)) == [5, 6]


def test_an_event_after_a_hole_is_refused() -> None:
    known = topic(5)

    assert not known.publish(event(7))
    assert known.seq == 5


def test_what_the_store_says_starts_the_topic_but_never_makes_a_hole() -> None:
    fresh, behind = topic(), topic(5)

    assert fresh.learn(9, ended=False)
    assert not behind.learn(9, ended=True)

    assert (fresh.seq, behind.seq, behind.ended) == (9, 5, False)
    assert not fresh.publish(event(11))
    assert fresh.publish(event(10))
    assert seqs(fresh.after(8)) is None


def test_the_buffer_is_bounded_in_events() -> None:
    known = topic(*range(1, 301))

    assert seqs(known.after(43)) is None
    assert seqs(known.after(44)) == list(range(45, 301))


def test_the_buffer_is_bounded_in_bytes_but_keeps_the_newest_event() -> None:
    known = Topic(TASK_ID)
    for seq in (1, 2, 3):
        known.publish(event(seq, size=700_000))
    known.publish(event(4, size=5_000_000))

    assert seqs(known.after(2)) is None
    assert seqs(known.after(3)) == [4]


def test_a_topic_has_ended_while_its_newest_event_is_terminal() -> None:
    known = topic(5)
    seen = [known.ended]

    for seq, name in ((6, "task.failed"), (7, "task.queued")):
        known.publish(event(seq, name))
        seen.append(known.ended)

    assert seen == [False, True, False]


async def test_every_watcher_is_woken_by_news() -> None:
    known = topic(5)
    watchers = [Watcher(known), Watcher(known)]
    known.watchers.update(watchers)

    known.publish(event(6))

    async with asyncio.timeout(1):
        await asyncio.gather(*(watcher.woken() for watcher in watchers))


async def test_a_wake_is_used_up_by_the_one_it_was_for() -> None:
    watcher = Watcher(topic(5))
    watcher.wake()
    await watcher.woken()

    waiting = asyncio.ensure_future(watcher.woken())
    await asyncio.sleep(0)

    assert not waiting.done()
    waiting.cancel()
