"""A run on a page: for machines as JSON, for people as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from tests.faults.chaos import Run
from tests.faults.figures import Fate, Figures, Spread
from tests.proof.violation import Invariant


@dataclass(frozen=True, slots=True)
class Report:
    """`command`: what repeats the run."""

    run: Run
    figures: Figures
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    command: str

    def as_json(self) -> dict[str, Any]:
        wish = self.run.wish
        return {
            "good": self.run.good,
            "command": self.command,
            "seed": wish.seed,
            "seconds": {
                "load": wish.length.total_seconds(),
                "altogether": round(self.run.seconds, 1),
                "lease": wish.lease.total_seconds(),
                "heartbeat": wish.heartbeat.total_seconds(),
            },
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            **_plain(asdict(self.figures)),
            "restarts": self.run.restarts,
            "violations": [str(violation) for violation in self.run.violations],
            "complaints": self.run.complaints,
        }

    def as_markdown(self) -> str:
        return "\n\n".join([self._headline(), *self._tables(), self._judgement()]) + "\n"

    def _headline(self) -> str:
        run, numbers = self.run, self.figures
        faults, tasks = _total(numbers.faults), _total(numbers.tasks)
        where = ", ".join([self.machine["processor"], f"{self.machine['cores']} cores", self.machine["memory"]])
        what = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"`{self.command}`: {run.wish.length.total_seconds():.0f} s of load with **{faults} faults** and "
            f"**{tasks:,} tasks**; lease {run.wish.lease.total_seconds():g} s, "
            f"heartbeat {run.wish.heartbeat.total_seconds():g} s.\n\n"
            f"On {where}, shared by all processes, both servers and the clients. {what}."
        )

    def _tables(self) -> Iterable[str]:
        numbers = self.figures
        fates = [(str(fate), f"{numbers.fates[fate]:,}") for fate in reversed(Fate)]
        yield _table(("tasks", "how many"), fates)
        yield _table(("recovery", "cases", "median", "95 %", "longest"), map(_recovery, numbers.recovery.items()))
        yield _grid("faults", numbers.faults)
        yield _grid("tasks", numbers.tasks)
        yield self._sentences()

    def _sentences(self) -> str:
        numbers = self.figures
        restarts = sum(map(len, self.run.restarts.values()))
        return (
            f"{numbers.attempts:,} attempts were granted; {numbers.lost_attempts:,} of them ended without a word of "
            f"their handler. {numbers.events:,} events were recorded, and {numbers.events_seen:,} seen on streams, "
            f"which were resumed {numbers.reconnects:,} times. {numbers.submits_unknown:,} submits had no answer and "
            f"were repeated. {numbers.webhooks:,} webhooks arrived, {numbers.webhooks_again:,} of them more than once. "
            f"{restarts} times a process gave up by itself, and was started anew."
        )

    def _judgement(self) -> str:
        counts = dict.fromkeys(Invariant, 0)
        for violation in self.run.violations:
            counts[violation.invariant] += 1
        broken = ", ".join(f"{invariant}: {count}" for invariant, count in counts.items() if count)
        if self.run.good:
            return "Violations of I1 to I14: **none**. Unexpected tracebacks in any log: **none**."
        shown = [*map(str, self.run.violations[:20]), *self.run.complaints[:20]]
        listed = "\n".join(f"```\n{each}\n```" for each in shown)
        return f"**Violated**: {broken or 'no invariant'}; {len(self.run.complaints)} complaints.\n\n{listed}"


def _recovery(item: tuple[str, Spread]) -> Sequence[str]:
    name, spread = item
    if not spread.count:
        return name, "0", "", "", ""
    return name, str(spread.count), _seconds(spread.median), _seconds(spread.p95), _seconds(spread.longest)


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.1f} s"


def _grid(name: str, cells: Mapping[str, Mapping[str, int]]) -> str:
    """One row for each outer, one column for each inner name."""
    columns = sorted({column for row in cells.values() for column in row})
    rows = [(row, *(str(counts.get(column, "")) for column in columns)) for row, counts in cells.items()]
    return _table((name, *columns), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _total(cells: Mapping[str, Mapping[str, int]]) -> int:
    return sum(count for row in cells.values() for count in row.values())


def _plain(value: Any) -> Any:
    """As JSON can say it: lengths in seconds."""
    if isinstance(value, timedelta):
        return round(value.total_seconds(), 3)
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return value
