"""What a look at a deployment has found: one line each, with what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. The order is that of badness."""

    OK = "ok"
    NOTE = "note"
    """As somebody may well want it."""
    WARNING = "warning"
    """It works, and will hurt."""
    FAULT = "fault"
    """A role cannot do its work."""

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is a word or two, `fact` a sentence without its stop; `remedy` says what to do, if anything."""

    severity: Severity
    about: str
    fact: str
    remedy: str | None = None


def ok(about: str, fact: str) -> Finding:
    return Finding(Severity.OK, about, fact)


def note(about: str, fact: str, remedy: str | None = None) -> Finding:
    return Finding(Severity.NOTE, about, fact, remedy)


def warning(about: str, fact: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, about, fact, remedy)


def fault(about: str, fact: str, remedy: str | None = None) -> Finding:
    """Without `remedy`, the fact itself says what to do."""
    return Finding(Severity.FAULT, about, fact, remedy)


def worst(findings: Iterable[Finding]) -> Severity:
    """The severity of the worst; `OK` of none."""
    return max((finding.severity for finding in findings), key=lambda severity: severity.rank, default=Severity.OK)
