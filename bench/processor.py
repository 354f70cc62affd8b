"""Where the processor time goes: each process of a deployment, with its children."""

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import psutil


class ProcessorTime:
    """Microseconds of processor time since the last look, by name."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._roots = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._last = self._now()

    def since_last(self, tasks: int) -> str:
        """What each has spent on each of `tasks`."""
        now = self._now()
        spent = {name: (now[name] - self._last[name]) / tasks * 1e6 for name in now}
        self._last = now
        return ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in spent.items())

    def _now(self) -> dict[str, float]:
        return {name: _seconds(process) for name, process in self._roots.items()}


def listener(url: str) -> int:
    """The pid of the process that listens on the port of `url`."""
    port = urlsplit(url).port
    for connection in psutil.net_connections("tcp"):
        here = connection.laddr
        if connection.status == psutil.CONN_LISTEN and here and here.port == port and connection.pid:
            return connection.pid
    raise LookupError(f"nobody on this machine listens on port {port}")


def _seconds(root: psutil.Process) -> float:
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total
