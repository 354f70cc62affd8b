"""The recorder: applies the reports of workers to the record, in order, and tells each worker what is recorded."""

from collections import Counter
from collections.abc import Iterable, Sequence

from backhaul.core.messages.relay import Relay
from backhaul.core.messages.topology import shard
from backhaul.core.ports.store import Store
from backhaul.core.task.commands import Command, Lose
from backhaul.core.task.transitions import Change, Refusal
from backhaul.ledger.answers import Answers
from backhaul.ledger.desk import Letter
from backhaul.ledger.superseded import Superseded, late_results
from backhaul_contracts.ids import TaskId
from backhaul_contracts.messages import Lapsed, ReportAnswered, Reported
from backhaul_contracts.reports import Recorded, Ruling

Verdict = Change | Refusal


class Recorder:
    """Records the tasks of one shard queue. Being its only reader is for speed: the store checks every batch anyway."""

    def __init__(
        self, store: Store, relay: Relay, answers: Answers, superseded: Superseded, *, number: int, shards: int
    ) -> None:
        self._store = store
        self._relay = relay
        self._answers = answers
        self._superseded = superseded
        self._number = number
        self._shards = shards
        self.rulings: Counter[str] = Counter()
        """How many reports had which ruling."""

    async def handle(self, letters: Sequence[Letter[Reported | Lapsed]]) -> None:
        ours = [(letter, message) for letter in letters for message in letter.messages if self._is_ours(message)]
        commands = [_command(message) for _, message in ours]
        verdicts, dispatch = await self._store.advance(commands)
        self._relay.hand_over(dispatch)
        await self._superseded.keep(late_results(zip((message for _, message in ours), verdicts, strict=True)))
        self._answer((letter, message, verdict) for (letter, message), verdict in zip(ours, verdicts, strict=True))

    def _is_ours(self, message: Reported | Lapsed) -> bool:
        """A batch is copied to every queue that any of its shards leads to."""
        return shard(message.data.task_id) % self._shards == self._number

    def _answer(self, judged: Iterable[tuple[Letter[Reported | Lapsed], Reported | Lapsed, Verdict]]) -> None:
        rulings: dict[tuple[str, int], tuple[str | None, Recorded]] = {}
        for letter, message, verdict in judged:
            if isinstance(message, Reported):
                self.rulings[Ruling.RECORDED if isinstance(verdict, Change) else verdict.ruling] += 1
                attempt = (message.data.task_id, message.data.attempt)
                known = rulings.get(attempt)
                if known is None or known[1].ruling is not Ruling.REFUSED:
                    rulings[attempt] = (letter.sender, _recorded(message, verdict))
        for sender, recorded in rulings.values():
            self._answers.send(sender, ReportAnswered, recorded)


def _command(message: Reported | Lapsed) -> Command:
    if isinstance(message, Lapsed):
        return Lose(TaskId(message.data.task_id), message.data.attempt)
    return message.data


def _recorded(message: Reported, verdict: Verdict) -> Recorded:
    """The ruling on the last report of an attempt stands for all before it, since numbers have no holes.

    Only a refusal stands for all behind it: they come again under other numbers.
    """
    report = message.data
    if isinstance(verdict, Change):
        number, ruling, detail = report.number, Ruling.RECORDED, None
    else:
        number = verdict.record.number if verdict.record else 0
        ruling, detail = verdict.ruling, verdict.detail
    return Recorded(task_id=report.task_id, attempt=report.attempt, number=number, ruling=ruling, detail=detail)
