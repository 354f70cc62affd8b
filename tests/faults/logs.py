"""What the processes said: a traceback is a fault of ours, unless it is listed here."""

import re
from collections.abc import Iterator

_BEGIN = "Traceback (most recent call last):"
_HEAD = re.compile(r"^\d\d:\d\d:\d\d \w+ +\S+  ")
"""The beginning of the next line of the log, in the console's format."""

EXPECTED = ("tests.faults.kinds.Stumbled",)
"""What handlers raise here by plan: a worker shows it with its stack, so that their authors find it."""


def tracebacks(log: str) -> Iterator[str]:
    """Every traceback in a log that is not expected, with the line that introduced it."""
    lines = log.splitlines()
    index = 0
    while index < len(lines):
        if _BEGIN in lines[index]:
            end = next((at for at in range(index + 1, len(lines)) if _HEAD.match(lines[at])), len(lines))
            block = lines[max(0, index - 1) : end]
            if not _expected(block):
                yield "\n".join(block)
            index = end
        else:
            index += 1


def _expected(block: list[str]) -> bool:
    raised = [line.strip() for line in block if line and not line.startswith(" ") and not _HEAD.match(line)]
    return bool(raised) and raised[-1].startswith(EXPECTED)
