"""Targets: how many tries each may have at once, so that no receiver delays another."""

from collections import Counter, OrderedDict

TOTAL = 256
"""Tries at once in one notifier."""
EACH = 10
"""Tries at once to one target."""

_REMEMBERED = 10_000


class Targets:
    """Counts what is under way. A target that did not answer last time gets one try at a time until it does."""

    def __init__(self, total: int = TOTAL, each: int = EACH) -> None:
        self.each = each
        self._total = total
        self._busy: Counter[str] = Counter()
        self._mute: OrderedDict[str, None] = OrderedDict()

    @property
    def room(self) -> int:
        """How many more tries may begin."""
        return self._total - self._busy.total()

    def most(self) -> dict[str, int]:
        """How many more may begin to those targets for which it is not `each`."""
        limits = {target: self.each - count for target, count in self._busy.items()}
        return limits | {target: max(1 - self._busy[target], 0) for target in self._mute}

    def begin(self, target: str) -> None:
        self._busy[target] += 1

    def end(self, target: str, *, answered: bool) -> None:
        self._busy[target] -= 1
        if not self._busy[target]:
            del self._busy[target]
        self._mute.pop(target, None)
        if not answered:
            self._mute[target] = None
            if len(self._mute) > _REMEMBERED:
                self._mute.popitem(last=False)
