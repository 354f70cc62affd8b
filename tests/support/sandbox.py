"""A private folder and the processes started in it, gone when their owner is gone, however it went."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Self

import psutil

from tests.support.ports import await_true

STOP_TIMEOUT = timedelta(seconds=20)

# Reads "+ thing" and "- thing", where a thing is a process group, or a container or network of Docker by its id. At the
# end of its input, which comes also when the owner was killed, it ends what is left, the newest first, and removes the
# folder. A network goes only when it is empty, and others may be emptying it.
_GUARD = """
left=
while read -r sign thing; do
  rest=
  for known in $left; do [ "$known" = "$thing" ] || rest="$rest $known"; done
  left=$rest
  [ "$sign" = - ] || left="$thing $left"
done
for thing in $left; do
  case $thing in
    container:*) docker rm --force --volumes "${thing#*:}" ;;
    network:*) for _ in 1 2 3 4 5; do docker network rm "${thing#*:}" && break; sleep 1; done ;;
    *) kill -KILL "-$thing" ;;
  esac
done >/dev/null 2>&1
rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }
"""


class Sandbox:
    """A temporary folder, and processes that end before it does.

    A process leads its own session, so that Ctrl-C reaches the tests and not the servers they still need.
    `user` is the account that runs them when the tests run as root: some servers refuse root.
    """

    def __init__(self, name: str, *, user: str | None = None) -> None:
        self._user = user if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix=f"backhaul-{name}-", dir=_base(self._user)))
        if self._user:
            shutil.chown(self.folder, self._user)
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, name: str, text: str, *, mode: int = 0o600) -> Path:
        """A file in the folder, readable by the processes started here."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        if self._user:
            shutil.chown(path, self._user)
        return path

    def run(self, argv: Sequence[str], *, env: Mapping[str, str]) -> None:
        """Run a command to its end.

        :raises RuntimeError: it failed; the message carries what it printed.
        """
        done = subprocess.run(
            argv, env=env, cwd=self.folder, user=self._user, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: str, piped: bool = False
    ) -> subprocess.Popen[str]:
        """Start a process; its error output, and its output unless it is `piped`, go to the file `log`."""
        with (self.folder / log).open("a") as sink:
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=self.folder,
                user=self._user,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else sink,
                stderr=sink,
                text=True,
                start_new_session=True,
            )
        self._running.append(process)
        self.guard(str(process.pid))
        return process

    def stop(self, process: subprocess.Popen[str], sign: signal.Signals = signal.SIGTERM) -> None:
        """End a process politely; after `STOP_TIMEOUT` by force."""
        process.send_signal(sign)
        try:
            process.wait(STOP_TIMEOUT.total_seconds())
        except subprocess.TimeoutExpired:
            self.kill(process)
        else:
            self._forget(process)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End a process and all its children at once, as a crash of the machine would."""
        family = _family(process.pid)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()
        await_true(lambda: not any(map(_alive, family)), STOP_TIMEOUT, lambda: f"{process.args!r} outlived SIGKILL")
        self._forget(process)

    def freeze(self, process: subprocess.Popen[str]) -> None:
        """Stop a process and its children where they are: connections stay open, nothing answers."""
        for member in _family(process.pid):
            with suppress(psutil.NoSuchProcess):
                self.guard(str(member.pid))  # one that is frozen does not notice the end of its parent
                member.suspend()

    def thaw(self, process: subprocess.Popen[str]) -> None:
        """Let go on what `freeze` stopped."""
        for member in _family(process.pid):
            with suppress(psutil.NoSuchProcess):
                member.resume()
                if member.pid != process.pid:
                    self.release(str(member.pid))

    def close(self) -> None:
        """End what still runs and remove the folder. May be repeated."""
        for process in tuple(self._running):
            self.kill(process)
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()
        self._guard.wait()

    def guard(self, thing: str) -> None:
        """End this, too, when the owner is gone: a process group, or `container:ID` or `network:ID` of Docker."""
        self._tell("+", thing)

    def release(self, thing: str) -> None:
        """It has ended."""
        self._tell("-", thing)

    def tail(self, log: str, lines: int = 15) -> str:
        """The last lines of a log in the folder, for an error message."""
        path = self.folder / log
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _forget(self, process: subprocess.Popen[str]) -> None:
        for stream in (process.stdin, process.stdout):
            _close(stream)
        self._running.remove(process)
        self.release(str(process.pid))

    def _tell(self, sign: str, thing: str) -> None:
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.write(f"{sign} {thing}\n")
            self._guard.stdin.flush()


def _base(user: str | None) -> Path:
    """The folder for temporary folders: the usual one, unless `user` may not pass through it."""
    usual = Path(tempfile.gettempdir()).resolve()
    passable = all(folder.stat().st_mode & stat.S_IXOTH for folder in (usual, *usual.parents))
    return usual if passable or user is None else Path("/tmp")


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _alive(process: psutil.Process) -> bool:
    """Whether it runs: one that ended may be listed until its new parent has noticed."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _close(stream: IO[str] | None) -> None:
    if stream:
        with suppress(BrokenPipeError):
            stream.close()


def account(*names: str) -> str:
    """The first of these accounts that exists on this machine, else `nobody`."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in names if name in known), "nobody")
