"""What ties a child process to its worker: it ends with it, and by nothing else that is meant for the worker."""

import ctypes
import faulthandler
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backhaul.worker.processes.child.link import Link

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def tie_to_worker(link: "Link") -> None:
    """Set up how this process ends.

    - A signal that ends whole groups of processes (Ctrl-C, a service manager) is the worker's to answer.
    - A crash in native code leaves a stack on standard error.
    - A process that this one forks is none of the worker's: it hears signals again and leaves the socket alone.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _not_for_us)
    faulthandler.enable()
    os.register_at_fork(after_in_child=lambda: _cut_loose(link))
    _die_with_parent()


def end_with_all() -> None:
    """The worker is gone: end this process and all that it has started, at once."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _not_for_us(number: int, frame: object) -> None:
    """A handler, and not `SIG_IGN`, since what is ignored stays so in the programs that this process starts."""


def _cut_loose(link: "Link") -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    link.cut()


def _die_with_parent() -> None:
    """On Linux: end even in native code that never lets Python hear that the socket is closed.

    The system sends SIGHUP when the worker is gone. The number of that signal is 1, and its handler is `alarm`, which
    takes a number of seconds: one later, SIGALRM ends this process. Until then Python may end more than this process.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.signal(int(signal.SIGHUP), libc.alarm)
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGHUP), 0, 0, 0)
