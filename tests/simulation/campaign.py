"""Many seeds, spread over the cores: `make sim SEEDS=100000`."""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.world import Outcome, run_seed

_PORTION = 25
_CHILD_LIVES_FOR = 1_000
"""Seeds. What asyncio, SQLAlchemy and the like keep for ever is let go of now and then."""

_NICENESS = 10


@dataclass(slots=True)
class Campaign:
    """What came of many seeds. `failed`: those with findings."""

    played: int = 0
    failed: list[Outcome] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    simulated: float = 0.0
    took: float = 0.0

    def add(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self.played += 1
            self.met += outcome.met
            self.simulated += outcome.seconds
            if outcome.findings:
                self.failed.append(outcome)

    def summary(self) -> str:
        """For people: what was played and met, and the command that replays each failure."""
        lines = [f"{self.played} seeds, {self.simulated / 3600:.1f} simulated hours: {len(self.failed)} with findings"]
        for outcome in sorted(self.failed, key=lambda outcome: outcome.seed):
            lines += [f"seed {outcome.seed}: {replay(outcome.seed)}"]
            lines += [f"    {finding}" for finding in outcome.findings[:3]]
        return "\n".join(lines)

    def table(self) -> str:
        """How often each kind of fault came about."""
        return "\n".join(f"{count:8} {name}" for name, count in sorted(self.met.items()))


def replay(seed: int) -> str:
    """The command that shows what happened."""
    return f"python -m tests.simulation --seed {seed} --trace"


def play(
    first: int,
    seeds: int,
    *,
    most_failures: int | None = None,
    workers: int | None = None,
    on_progress: Callable[[Campaign], None] = lambda _: None,
) -> Campaign:
    """Play seeds from `first` on, until all are played or `most_failures` have failed."""
    campaign, began = Campaign(), time.monotonic()
    cores = workers or os.cpu_count() or 1
    round_ = cores * _CHILD_LIVES_FOR
    for begin in range(first, first + seeds, round_):
        portions = deque(_portions(begin, min(begin + round_, first + seeds)))
        for outcomes in _outcomes(portions, cores):
            campaign.add(outcomes)
            campaign.took = time.monotonic() - began
            on_progress(campaign)
            if most_failures is not None and len(campaign.failed) >= most_failures:
                portions.clear()
        if most_failures is not None and len(campaign.failed) >= most_failures:
            break
    return campaign


def _portions(begin: int, end: int) -> Iterator[range]:
    return (range(at, min(at + _PORTION, end)) for at in range(begin, end, _PORTION))


def _outcomes(portions: deque[range], cores: int) -> Iterator[list[Outcome]]:
    """What came of the portions, as it comes. New processes each time: it is not for the pool to replace them."""
    with ProcessPoolExecutor(
        cores,
        mp_context=get_context("spawn"),
        initializer=os.nice,  # simulated time has patience; tests beside it have not
        initargs=(_NICENESS,),
    ) as pool:
        running: set[Future[list[Outcome]]] = set()
        while portions or running:
            while portions and len(running) < 2 * cores:
                running.add(pool.submit(play_portion, portions.popleft()))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


def play_portion(seeds: range) -> list[Outcome]:
    """In this process, one after the other."""
    return [run_seed(seed) for seed in seeds]
