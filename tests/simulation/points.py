"""Points: every moment at which a process touches the world, counted by name, so that it can die exactly there."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.loop import NEVER, Process


@dataclass(slots=True)
class Ambush:
    """Whoever of `role` comes to a point whose name begins with `point`, for the `countdown`-th time, dies there."""

    role: str
    point: str
    countdown: int


class Points:
    """`on_death` is called when an ambush has struck, with the process and the name of the point."""

    def __init__(self, on_death: Callable[[Process, str], None]) -> None:
        self._on_death = on_death
        self._ambushes: list[Ambush] = []
        self.passed: Counter[str] = Counter()
        """How often each point was passed, by anyone."""

    def lay(self, ambush: Ambush) -> None:
        self._ambushes.append(ambush)

    def clear(self) -> None:
        self._ambushes.clear()

    async def come_to(self, process: Process, point: str) -> None:
        """Returns only if the process survives it."""
        self.touch(process, point)
        if process.dead:
            await NEVER

    def touch(self, process: Process, point: str) -> None:
        """The same where nothing can be awaited: look at `process.dead` afterwards."""
        if process.dead:
            return
        self.passed[f"{process.role} {point}"] += 1
        for ambush in self._ambushes:
            if ambush.role == process.role and point.startswith(ambush.point):
                ambush.countdown -= 1
                if ambush.countdown == 0:
                    self._ambushes.remove(ambush)
                    self._on_death(process, f"{process.role} {point}")
                    return
