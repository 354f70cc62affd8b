"""The data folder of an embedded platform: its database, and the lock that keeps it to one process."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from backhaul.core.errors import ConfigurationError

MEMORY = ":memory:"


class DataFolder:
    """`:memory:`, or a folder that is made if need be and held exclusively. A killed process lets go of it at once."""

    def __init__(self, path: str) -> None:
        self._path = None if path == MEMORY else Path(path)
        self._lock: int | None = None

    @property
    def database_url(self) -> str:
        if self._path is None:
            return "sqlite:///:memory:"
        return f"sqlite:///{(self._path / 'backhaul.db').resolve()}"

    def __enter__(self) -> Self:
        """Raises `ConfigurationError` if the folder cannot be used or another process holds it."""
        if self._path is not None:
            self._lock = _hold(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _hold(path: Path) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the data folder {path} cannot be used: {error.strerror}: choose another with --data"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigurationError(
            f"the data folder {path} is in use by another process: stop it, or choose another folder with --data"
        ) from error
    return lock
