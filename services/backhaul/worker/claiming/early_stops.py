"""Stops that came before what they stop: hints and grants travel by different queues."""

_MOST = 1_000


class EarlyStops:
    """The newest stops of attempts that this worker does not hold. Most are late, not early, and never asked for."""

    def __init__(self) -> None:
        self._stopped: dict[tuple[str, int], None] = {}

    def add(self, key: tuple[str, int]) -> None:
        """The attempt, if it comes, must not start."""
        self._stopped[key] = None
        if len(self._stopped) > _MOST:
            del self._stopped[next(iter(self._stopped))]

    def take(self, key: tuple[str, int]) -> bool:
        """Whether the attempt was stopped before it came; asked once."""
        if key not in self._stopped:
            return False
        del self._stopped[key]
        return True
