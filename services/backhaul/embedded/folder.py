"""The data folder of an embedded platform: its database, its secret key, and the lock that keeps it to one process."""

import fcntl
import os
import secrets
from contextlib import suppress
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

    @property
    def made(self) -> bool:
        """Whether there is a platform in it, running or not."""
        return self._path is not None and (self._path / "backhaul.db").exists()

    def make(self) -> None:
        """Let there be a folder. Raises `ConfigurationError`."""
        if self._path is not None:
            _make(self._path)

    @property
    def secret_key(self) -> str:
        """What the secrets in the database are encrypted with: made on first use, and kept as long as the folder."""
        return secrets.token_urlsafe(32) if self._path is None else _kept(self._path / "secret-key")

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


def _kept(path: Path) -> str:
    """The secret in the file, which appears with all of it at once: another process may look at the same moment."""
    try:
        if not path.exists():
            _place(path, secrets.token_urlsafe(32))
        return path.read_text()
    except OSError as error:
        raise ConfigurationError(
            f"the file {path} cannot be used: {error.strerror}: mend it, or choose another folder with --data"
        ) from error


def _place(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"the data folder {path} cannot be used: {error.strerror}: choose another with --data")


def _hold(path: Path) -> int:
    _make(path)
    try:
        lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigurationError(
            f"the data folder {path} is in use by another process: stop it, or choose another folder with --data"
        ) from error
    return lock
