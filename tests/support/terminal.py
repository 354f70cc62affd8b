"""A terminal for a program, and what it shows there."""

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence


def on_a_terminal(command: Sequence[str], *, columns: int = 80, env: Mapping[str, str] = {}) -> tuple[int, str]:
    """The exit code of a command on a terminal of 256 colours, and all that it wrote there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **env}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:  # a terminal that nobody else holds any more ends so on Linux
        pass
    os.close(ours)
    return process.wait(timeout=60), written.decode()
