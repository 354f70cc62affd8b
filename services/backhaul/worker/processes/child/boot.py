"""The file that a child process starts with: `python -P …/boot.py FD`, a socket of its worker's.

It imports nothing but the standard library, untouched by the folder it is in, until it knows where the worker finds its
modules: then the same names mean the same modules here.
"""

import json
import socket
import struct
import sys


def boot() -> int:
    """Hear where modules are, then live as a child of the worker."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    file = connection.makefile("rb")
    lengths = file.read(8)
    if not lengths:  # the worker was gone before this process began
        return 1
    head, _ = struct.unpack("!II", lengths)
    start = json.loads(file.read(head))
    sys.path[:] = start["path"]

    from backhaul.worker.processes.child.life import live

    return live(connection, file, start["level"])


if __name__ == "__main__":
    sys.exit(boot())
