"""What is common to servers that only this process knows: they start, stop, crash and freeze at our word."""

import signal
import subprocess
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Self

from tests.support.ports import await_true
from tests.support.sandbox import Sandbox

START_TIMEOUT = timedelta(seconds=60)


class PrivateServer(ABC):
    """A server in a sandbox. Its port, and so its URL, stay the same over restarts.

    As a context manager it runs inside the block and is gone, with its data, after it.
    """

    name: str
    logs: tuple[str, ...]
    stop_signal = signal.SIGTERM

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of a vhost or database to work in."""

    def start(self) -> None:
        """Start it, or start it again on what it kept; it serves clients when this returns.

        :raises RuntimeError: it did not come up, and is closed; the message ends with its log.
        """
        if self._server is not None:
            return
        try:
            self._server = self._spawn()
            await_true(self._ready, START_TIMEOUT, self._complaint)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Shut it down in order; what is durable stays, clients are disconnected."""
        if self._server is not None:
            self._sandbox.stop(self._server, self.stop_signal)
            self._server = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._server is not None:
            self._sandbox.kill(self._server)
            self._server = None

    def crash(self) -> None:
        """End it without a goodbye: what it had not written down is lost to it, what it had is not."""
        self.kill()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop it where it is: connections stay open, nothing answers."""
        if self._server is not None:
            self._sandbox.freeze(self._server)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        if self._server is not None:
            self._sandbox.thaw(self._server)

    def close(self) -> None:
        """End it and remove all that it kept."""
        self._server = None
        self._sandbox.close()

    @property
    def pid(self) -> int | None:
        """The server's process while it runs, for measurements."""
        return self._server.pid if self._server else None

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[str]:
        """Start the process, at the first time with what it needs."""

    @abstractmethod
    def _serves(self, pid: int) -> bool:
        """Whether that process serves clients now."""

    def _ready(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError(self._complaint())
        return self._serves(self._server.pid)

    def _complaint(self) -> str:
        return "\n".join([f"{self.name} did not start:", *(self._sandbox.tail(log) for log in self.logs)])
