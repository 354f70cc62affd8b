"""How many connections the system lets a process hold at one time."""

import sys
from contextlib import suppress

_ENOUGH = 65_536
"""More than one event loop serves. What is allowed may be a billion, and some libraries walk through all of it."""


def allow_many_connections() -> None:
    """Raise the soft limit of open files towards the hard one.

    Linux starts processes at 1,024, for the sake of programs that use select(2); whoever does not, may have what the
    hard limit allows (https://0pointer.net/blog/file-descriptor-limits.html).
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS says that it has no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
