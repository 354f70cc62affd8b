"""The witness: writes down what everyone saw, in the terms of `tests.proof`, and keeps a digest of it all."""

import hashlib
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from backhaul_contracts import codec
from backhaul_contracts.claims import Grant
from tests.proof.history import History
from tests.proof.observations import GrantSeen, HandlerEnded, HandlerStarted, Observation
from tests.simulation.loop import PROCESS, SimulatedClock

WITNESS: ContextVar["Witness"] = ContextVar("WITNESS")
"""Who watches the handlers."""


def digest(value: Any) -> str:
    """The same for equal JSON values."""
    return hashlib.blake2b(codec.dumps(value), digest_size=8).hexdigest()


class Witness:
    """What a dead process would still have to say is not written down. `trace`: called with every line, if given."""

    def __init__(self, clock: SimulatedClock, trace: Callable[[str], None] | None = None) -> None:
        self.history = History()
        self.met: Counter[str] = Counter()
        """Each fault that has really come about, by its name."""
        self.alone: dict[tuple[str, str, int], None] = {}
        """Exclusive handlers that are at work, by worker, task and attempt."""
        self.broken: list[str] = []
        """What contradicts a promise that no observation can express."""
        self.crashed: list[str] = []
        """What ended, or answered, in a way that nobody foresaw."""
        self._clock = clock
        self._trace = trace
        self._hash = hashlib.blake2b(digest_size=16)
        self._checkpoints: dict[str, tuple[int, int]] = {}

    def now(self) -> datetime:
        return self._clock.now()

    @property
    def digest(self) -> str:
        """Of everything so far: equal in two runs that went the same way."""
        return self._hash.hexdigest()

    def see(self, observation: Observation) -> None:
        process = PROCESS.get()
        if process is not None and process.dead:
            return
        self.history.add(observation)
        match observation:
            case HandlerStarted(exclusive=True):
                self.alone[observation.worker, observation.task_id, observation.attempt] = None
            case HandlerEnded():
                self.alone.pop((observation.worker, observation.task_id, observation.attempt), None)
        self.note(str(observation))

    def note(self, text: str) -> None:
        """Something for the reader of the trace only."""
        line = f"{self._clock.now():%M:%S.%f} {text}"
        self._hash.update(line.encode())
        if self._trace is not None:
            self._trace(line)

    def saved(self, task_id: str, checkpoint: dict[str, int]) -> None:
        """A handler was told that its checkpoint is recorded."""
        process = PROCESS.get()
        if process is None or not process.dead:
            self._checkpoints[task_id] = (checkpoint["attempt"], checkpoint["said"])

    def found_checkpoint(self, task_id: str, attempt: int, found: dict[str, int] | None) -> None:
        """A handler starts: it must find the last checkpoint that was ever said to be recorded, or a later one."""
        known = self._checkpoints.get(task_id, (0, 0))
        if known[0] < attempt and (found["attempt"] if found else 0, found["said"] if found else 0) < known:
            self.broken.append(f"{task_id}: attempt {attempt} found checkpoint {found}, {known} was recorded before")

    def submitted_child(self, parent_id: str, child_id: str) -> None:
        self.note(f"{parent_id} has submitted {child_id}")


def saw_grant(grant: Grant) -> None:
    """The worker in whose process this is called was granted an attempt."""
    witness, process = WITNESS.get(), PROCESS.get()
    witness.see(
        GrantSeen(
            worker=process.name if process else "",
            task_id=grant.task_id,
            attempt=grant.attempt,
            token=grant.token,
            at=witness.now(),
        )
    )
