"""The life of a child process: it listens, runs what it is told to, and ends with its worker."""

import socket
import sys
from contextlib import closing
from typing import BinaryIO

from backhaul.worker.processes.child.fate import tie_to_worker
from backhaul.worker.processes.child.link import Link
from backhaul.worker.processes.child.logs import send_logs
from backhaul.worker.processes.child.performance import perform
from backhaul.worker.processes.child.repertoire import Repertoire, Unfit


def live(connection: socket.socket, file: BinaryIO, log_level: int) -> int:
    """Run attempts until the worker lets go. The exit status."""
    link = Link(connection, file)
    tie_to_worker(link)
    link.listen()
    send_logs(link, log_level)
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
