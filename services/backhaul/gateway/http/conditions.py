"""What a request asks of its answer: how long to wait, in which form, and only if it changed."""

import re
from datetime import timedelta

LONGEST_WAIT = timedelta(seconds=50)

EVENT_STREAM = "text/event-stream"
JSON = "application/json"

_WAIT = re.compile(r'(?:^|,)\s*+wait\s*+=\s*+"?([0-9]++)"?\s*+(?=[;,]|$)', re.IGNORECASE)
"""Possessive throughout: what it has taken it does not try in other ways, so a header costs no more than its length."""
_MOST_DIGITS = 9
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


def preferred_wait(prefer: str | None) -> timedelta | None:
    """The `wait` of a `Prefer` header (RFC 7240 §4.3), at most 50 s. None: not asked for, or not understood."""
    match = _WAIT.search(prefer) if prefer else None
    if match is None:
        return None
    digits = match[1].lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS:
        return LONGEST_WAIT
    return min(timedelta(seconds=int(digits)), LONGEST_WAIT)


def entity_tag(seq: int) -> str:
    """The `ETag` of a task: every change that can be seen has its own `seq`."""
    return f'"{seq}"'


def matches(if_none_match: str, tag: str) -> bool:
    """Whether the client has this representation already (weak comparison, RFC 9110 §13.1.2)."""
    return if_none_match.strip() == "*" or tag in _ENTITY_TAG.findall(if_none_match)


def choose(accept: str | None, offers: tuple[str, ...]) -> str | None:
    """The one of `offers` that an `Accept` header likes best; None if it likes none.

    Among equals the one that is named more exactly, then the first one.
    """
    if accept is None or accept == "*/*" or not accept.strip():
        return offers[0]
    ranges = [_media_range(item) for item in accept.split(",")]
    best = max(offers, key=lambda offer: _preference(offer, ranges))
    return best if _preference(best, ranges)[0] > 0 else None


def _media_range(item: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in item.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            return media_type, _number(parameter[2:])
    return media_type, 1.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _preference(offer: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """The quality of the most specific range that covers `offer`, and how specific that is (RFC 9110 §12.5.1)."""
    family = offer.partition("/")[0]
    for exactness, pattern in ((2, offer), (1, f"{family}/*"), (0, "*/*")):
        covering = [quality for media_range, quality in ranges if media_range == pattern]
        if covering:
            return max(covering), exactness
    return 0.0, 0
