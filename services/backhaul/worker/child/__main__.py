"""The life of a child process: it listens, runs what it is told to, and ends with its worker."""

import os
import socket
import sys
from contextlib import closing

from backhaul.worker.child.fate import tie_to_worker
from backhaul.worker.child.link import Link
from backhaul.worker.child.logs import send_logs
from backhaul.worker.child.performance import perform
from backhaul.worker.child.repertoire import Repertoire, Unfit


def main() -> int:
    """Run attempts until the worker lets go."""
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    tie_to_worker(link)
    start = link.start()
    _surroundings(start["path"], start["pythonpath"])
    send_logs(link, start["level"])
    with closing(Repertoire()) as repertoire:
        while (order := link.next_order()) is not None:
            try:
                duty = repertoire.duty(order.origin, order.attempt.grant.kind)
            except Unfit as unfit:
                link.tell({"say": "end", "end": "unfit", "detail": str(unfit)})
                return 1
            link.end(order, *perform(duty, order, link))
            sys.stdout.flush()
    return 0


def _surroundings(path: list[str], pythonpath: str | None) -> None:
    """Modules are found as the worker finds them; programs that a handler starts see no trace of that."""
    sys.path[:] = path
    if pythonpath is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = pythonpath


if __name__ == "__main__":
    sys.exit(main())
