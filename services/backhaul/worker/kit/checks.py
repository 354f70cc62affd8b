"""Checks of what a service's author writes. Each raises `ConfigurationError`: one sentence with thing, fact, remedy."""

import re
import sys
from datetime import timedelta

from backhaul.core.errors import ConfigurationError
from backhaul.worker.kit.retry_policy import Length, RetryPolicy
from backhaul_contracts.wire import KIND_PATTERN, NAME_PATTERN, parse_duration

_LONGEST_KIND = 200
_LONGEST_NAME = 100


def check_kind(kind: object) -> None:
    """Raises `ConfigurationError` if `kind` is not a name for a kind."""
    if not isinstance(kind, str) or len(kind) > _LONGEST_KIND or not re.fullmatch(KIND_PATTERN, kind):
        raise ConfigurationError(
            f"handler {kind!r} has no valid kind: "
            "join two or more words by dots, such as 'digest.summarise' (letters, digits, - and _)"
        )


def check_name(what: str, name: object) -> None:
    """Raises `ConfigurationError` if `name` cannot name a service or a queue."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not re.fullmatch(NAME_PATTERN, name):
        raise ConfigurationError(f"{what} {name!r} has no valid name: use lower case letters, digits, '-', '_' and '.'")


def check_version(what: str, version: object) -> None:
    """Raises `ConfigurationError` if `version` is not a text."""
    if not isinstance(version, str) or not version:
        raise ConfigurationError(f"{what} has version={version!r}: give a text such as '1.0.0'")


def check_slots(what: str, slots: object, name: str = "slots") -> None:
    """Raises `ConfigurationError` if `slots`, the option `name`, is not a whole number from 1."""
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
        raise ConfigurationError(f"{what} has {name}={slots!r}: give a whole number from 1")


def check_options(kind: str, *, queue: object, slots: object, version: object, retry: object) -> None:
    """Raises `ConfigurationError` if an option of a handler cannot be."""
    check_name(f"handler {kind} with queue", queue)
    check_version(f"handler {kind}", version)
    if slots is not None:
        check_slots(f"handler {kind}", slots)
    if not isinstance(retry, RetryPolicy | None):
        raise ConfigurationError(
            f"handler {kind} has retry={retry!r}: give a RetryPolicy, such as RetryPolicy(max_attempts=5)"
        )


def check_platform(handler: str) -> None:
    """Raises `ConfigurationError` where processes cannot be killed with all that they have started."""
    if sys.platform == "win32":
        raise ConfigurationError(
            f"{handler} has run_in='process', which needs Linux or macOS: run its worker there, or use run_in='thread'"
        )


def option_length(what: str, name: str, value: Length | None) -> timedelta:
    """The length of a time option of `what`, longer than nothing. Raises `ConfigurationError`."""
    try:
        length = parse_duration(value)
    except ValueError as error:
        raise ConfigurationError(f"{what} has {name}={value!r}: {error}") from error
    if not length:
        raise ConfigurationError(f"{what} has {name}={value!r}: give more than nothing, such as {name}='10m'")
    return length
