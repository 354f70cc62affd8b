"""Patterns of events: checked when they are written, since one that matches nothing would never be noticed."""

import re

from backhaul.core.errors import ConfigurationError
from backhaul_contracts.events import EventType

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LONGEST = 255  # bytes of a binding key (AMQP 0-9-1, 4.2.5.3)
_WILD = ("*", "#")
_FEWEST_WORDS = 4
_PUBLIC = {event.removeprefix("task.") for event in EventType if event.public}
_ON_STREAMS = {event.removeprefix("task.") for event in EventType if not event.public}


def check_patterns(listener: str, patterns: tuple[object, ...]) -> tuple[str, ...]:
    """The patterns, each once. Raises `ConfigurationError` for one that can match no event."""
    if not patterns:
        raise ConfigurationError(f"{listener} names no events: write @service.on('task.#.succeeded')")
    return tuple(dict.fromkeys(_checked(listener, pattern) for pattern in patterns))


def _checked(listener: str, pattern: object) -> str:
    if not isinstance(pattern, str):
        raise ConfigurationError(f"{listener} has the pattern {pattern!r}: write a text such as 'task.#.succeeded'")
    fault = _fault(pattern.split(".")) if len(pattern) <= _LONGEST else f"is longer than {_LONGEST} characters"
    if fault:
        raise ConfigurationError(f"{listener} has the pattern {pattern!r}, which {fault}")
    return pattern


def _fault(words: list[str]) -> str | None:
    first, last = words[0], words[-1]
    if odd := [word for word in words if word not in _WILD and not _WORD.fullmatch(word)]:
        return f"has {odd[0]!r} for a word: join words, * (one word) and # (any number) by dots"
    if first not in ("task", *_WILD):
        return "begins with no 'task': write task.<kind>.<event>, such as task.digest.*.succeeded"
    if "#" not in words and len(words) < _FEWEST_WORDS:
        return "has too few words: a kind has two or more, so write # for any of them, such as task.#.succeeded"
    if last in _ON_STREAMS:
        return f"ends in {last!r}: that is told on the streams of a task alone, not on the broker"
    if last not in _PUBLIC and last not in _WILD:
        return f"ends in {last!r}, which is no event: end it in one of {', '.join(sorted(_PUBLIC))}, or *"
    return None
