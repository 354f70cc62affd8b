"""What a handler's modules log in a child process goes to the log of the worker, in its format."""

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backhaul.worker.processes.child.link import Link


def send_logs(link: "Link", level: int) -> None:
    """Send all that is logged from `level` on."""
    logging.basicConfig(level=level, handlers=[_Sender(link)], force=True)


class _Sender(logging.Handler):
    def __init__(self, link: "Link") -> None:
        super().__init__()
        self._link = link
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):  # the worker is gone, or this is a process that a handler has forked
            head = {"say": "log", "logger": record.name, "level": record.levelno, "created": record.created}
            self._link.tell(head, self.format(record).encode("utf-8", "replace"))
