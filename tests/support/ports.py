"""Free ports on the loopback interface, and whether a server answers there."""

import random
import socket
import time
from collections.abc import Callable
from datetime import timedelta

LOOPBACK = "127.0.0.1"

# Below the range from which the system picks the client's end of a connection: a client that tries again
# and again to reach a stopped server there could be given the server's own port, and reach itself.
_RANGE = range(20_000, 32_000)

_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


def free_port() -> int:
    """A port that nobody listens on now."""
    for port in random.sample(_RANGE, 100):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port among 100 tried in {_RANGE}: end some servers on this machine")


def listens(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def speaks_amqp(port: int, host: str = LOOPBACK) -> bool:
    """Whether a broker there starts the AMQP 0-9-1 handshake (section 2.2.4 of the specification)."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(_AMQP_HEADER)
            return connection.recv(1) == _METHOD_FRAME
    except OSError:
        return False


def await_true(condition: Callable[[], bool], timeout: timedelta, otherwise: Callable[[], str]) -> None:
    """Wait for another process, which can only be asked.

    :raises RuntimeError: the time was over; `otherwise` tells what to say.
    """
    end = time.monotonic() + timeout.total_seconds()
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(otherwise())
        time.sleep(0.02)
