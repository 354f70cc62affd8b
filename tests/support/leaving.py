"""How long a worker may take from SIGTERM to its end."""

from datetime import timedelta

from backhaul.settings import Settings
from backhaul.worker import drain, load_services


def longest_drain(target: str) -> timedelta:
    """Of a worker of the service at `MODULE:SERVICE`, at the usual settings: every part of a drain takes its utmost."""
    (service,) = load_services([target])
    longest = max(handler.grace for handler in service.handlers.values())
    parts = (drain._FOR_ANSWERS, drain._FOR_RECORDS, drain._FOR_FAREWELL)
    return Settings().drain_grace + longest + sum(parts, timedelta(seconds=drain._FOR_KILLED_SECONDS))
