"""What watchers see."""

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from backhaul.gateway.push.audit import Audit
from backhaul.gateway.push.reading import Reading
from backhaul.gateway.push.topic import Frame, Topic
from tests.simulation.loop import NEVER
from tests.simulation.mutants.registry import mutant


@mutant("I7")
def nobody_looks_for_lost_live_events() -> AbstractContextManager[Any]:
    async def run(audit: Audit) -> None:
        await NEVER

    return patch.object(Audit, "run", run)


@mutant("I7")
def a_jump_in_live_events_is_passed_on() -> AbstractContextManager[Any]:
    def publish(topic: Topic, item: Frame) -> bool:
        if item.seq > topic.seq:
            topic.seq, topic.ended = item.seq, item.terminal
            topic._keep(item)
            topic.wake()
        return True

    return patch.object(Topic, "publish", publish)


@mutant("I7")
def a_reconnect_forgets_its_cursor() -> AbstractContextManager[Any]:
    real: Any = Reading.__init__

    def begin(
        reading: Reading,
        feed: Any,
        store: Any,
        clock: Any,
        watcher: Any,
        snapshot: Any,
        cursor: int | None,
        *others: Any,
    ) -> None:
        later = None if cursor is None else min(cursor + 1, snapshot.record.seq)
        real(reading, feed, store, clock, watcher, snapshot, later, *others)

    return patch.object(Reading, "__init__", begin)
