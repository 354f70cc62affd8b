"""Beats: the lease of all that a worker holds, and the repair of what got lost between worker and record."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from backhaul.core.clock import Clock
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Leases, Store
from backhaul.core.task.changes import NOTICE
from backhaul.core.task.commands import Lose, TakeBack
from backhaul.ledger.announcing import Announcements
from backhaul.ledger.answers import Answers
from backhaul.ledger.desk import Letter
from backhaul.ledger.lapses import lapse_messages
from backhaul_contracts.beats import Beat, BeatAnswer, Held, Stop, StopReason
from backhaul_contracts.ids import TaskId
from backhaul_contracts.kinds import RefusedKind
from backhaul_contracts.messages import BeatAnswered, Beaten
from backhaul_contracts.tasks import Status

_log = logging.getLogger("backhaul.ledger")


class BeatDesk:
    """Renews leases, answers with what each worker must stop, and sees to what a worker leaves behind that goes."""

    def __init__(
        self,
        store: Store,
        broker: Broker,
        relay: Relay,
        answers: Answers,
        announcements: Announcements,
        clock: Clock,
        *,
        lease: timedelta,
        source: str,
    ) -> None:
        self._store = store
        self._broker = broker
        self._relay = relay
        self._answers = answers
        self._clock = clock
        self._announcements = announcements
        self._lease = lease
        self._source = source
        self.taken_back = 0
        """How many grants never reached their workers."""

    async def handle(self, letters: Sequence[Letter[Beaten]]) -> None:
        heard = [await self._announcements.hear(message.data) for letter in letters for message in letter.messages]
        beats = [beat for beat, _ in heard]
        leases = await self._store.beat(beats, self._lease)
        calls = {TaskId(task_id) for beat in beats for task_id in beat.calls}
        pending = await self._store.unfinished(list(calls))
        await self._take_back(leases)
        await self._take_over(leases)
        for (beat, refused), lease in zip(heard, leases, strict=True):
            if beat.state != "gone":
                done = [task_id for task_id in beat.calls if task_id not in pending]
                self._answers.send(beat.worker_id, BeatAnswered, self._answer(beat, lease, done, refused))

    async def _take_back(self, leases: Sequence[Leases]) -> None:
        lost = [TakeBack(record.id, record.attempt) for lease in leases for record in lease.unclaimed]
        if lost:
            _log.warning("%d grants never reached their workers and are handed back", len(lost))
            _, dispatch = await self._store.advance(lost)
            self._relay.hand_over(dispatch)
            self.taken_back += len(lost)

    async def _take_over(self, leases: Sequence[Leases]) -> None:
        """What a farewell lists goes on elsewhere, as soon as the reports on it are read that its worker has sent."""
        left = [Lose(record.id, record.attempt) for lease in leases for record in lease.left]
        if left:
            _log.info("%d attempts were left behind unfinished by workers that are gone", len(left))
            await self._broker.publish(lapse_messages(self._source, left))

    def _answer(self, beat: Beat, lease: Leases, calls_done: list[str], refused: list[RefusedKind]) -> BeatAnswer:
        now = self._clock.now()
        return BeatAnswer(
            worker_id=beat.worker_id,
            number=beat.number,
            known=lease.known,
            lease_seconds=self._lease.total_seconds(),
            calls_done=calls_done,
            drain=lease.drain,
            refused=refused,
            stop=[stop for held in beat.held if (stop := _stop(held, lease, now)) is not None],
        )


def _stop(held: Held, lease: Leases, now: datetime) -> Stop | None:
    record = lease.current.get(TaskId(held.task_id))
    if record is None:
        return Stop(task_id=held.task_id, attempt=held.attempt, reason=StopReason.REPLACED)
    if record.status is Status.CANCELLING:
        grace = max((record.not_before or now) - NOTICE - now, timedelta(0))
        return Stop(task_id=held.task_id, attempt=held.attempt, reason=StopReason.CANCELLED, grace=grace)
    return None
