"""A child process, as its worker sees it."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from backhaul.worker.processes import frames
from backhaul.worker.processes.child import boot
from backhaul.worker.processes.frames import SPARE, BrokenFrame, Frame, Head

_LAST_WORDS_SECONDS = 1.0
_PAYLOADS = 4  # in one frame at most: a call has a kind, an input and options


class Process:
    """Runs one attempt at a time. It leads a group of processes of its own, which is killed with it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        limit: int,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._most = _PAYLOADS * limit + SPARE
        self._broken: str | None = None
        self.pid = process.pid
        self.on_frame: Callable[[Frame], None] | None = None
        """Hears what the child says during an attempt."""
        self.facts: Mapping[str, str | int] = {}
        """What lines that it logs are about."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the process is gone and nothing more will be heard of it: how it ended, as a sentence."""

    @property
    def at_work(self) -> bool:
        """Whether an attempt is under way in it."""
        return self.on_frame is not None

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def live(self) -> None:
        """Listen until the process has ended, then end whatever is left of its group."""
        listening = asyncio.create_task(self._listen())
        try:
            code = await self._process.wait()
            self.kill()
            await asyncio.wait([listening], timeout=_LAST_WORDS_SECONDS)
        finally:
            self.kill()
            listening.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        self.ended.set_result(self._broken or how_it_ended(code))

    async def send(self, head: Head, body: bytes = b"") -> None:
        """Say something, at the pace at which it is read. What a dead process would have heard is dropped."""
        self.say(head, body)
        with suppress(ConnectionError):
            await self._writer.drain()

    def say(self, head: Head, body: bytes = b"") -> None:
        """Say something small, without waiting."""
        if not self._writer.is_closing():
            self._writer.write(Frame(head, body).pack())

    def kill(self) -> None:
        """End it, and all that it has started, at once. Harmless when it has ended."""
        with suppress(ProcessLookupError, PermissionError):  # the latter on macOS, where only zombies are left
            os.killpg(self.pid, signal.SIGKILL)

    async def _listen(self) -> None:
        try:
            while (frame := await frames.receive(self._reader, self._most)) is not None:
                self._hear(frame)
        except BrokenFrame as error:
            self._broken = f"The process of the attempt sent {error}."
            self.kill()

    def _hear(self, frame: Frame) -> None:
        if frame.head.get("say") == "log":
            _log_again(frame, self.facts)
        elif self.on_frame is not None:
            self.on_frame(frame)


async def start_process(limit: int) -> Process:
    """A new child process, which is at once told its surroundings. Raises `OSError` if the system allows no more.

    To be called where the loop runs: on Linux the child ends with the thread that started it.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", boot.__file__, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            writer.close()
            raise
    started = Process(process, reader, writer, limit)
    level = logging.getLogger().getEffectiveLevel()
    started.say({"path": sys.path, "level": level})
    return started


def how_it_ended(code: int) -> str:
    """`code` as `subprocess` gives it: a signal's is negative."""
    if code >= 0:
        return f"The process of the attempt ended with exit status {code}."
    known = -code in set(signal.Signals)
    name = signal.Signals(-code).name if known else "a signal"
    hint = ", as the system does it when memory runs out" if -code == signal.SIGKILL else ""
    return f"The process of the attempt was killed by {name} (signal {-code}){hint}."


def _log_again(frame: Frame, facts: Mapping[str, str | int]) -> None:
    head = frame.head
    logger = logging.getLogger(head["logger"])
    if logger.isEnabledFor(head["level"]):
        message = frame.body.decode("utf-8", "replace")
        record = logger.makeRecord(logger.name, head["level"], "", 0, "%s", (message,), None)
        record.created = head["created"]
        record.facts = facts
        logger.handle(record)
