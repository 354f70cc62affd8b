"""When a failed attempt is followed by another."""

from dataclasses import dataclass, field
from datetime import timedelta

from backhaul.core.errors import ConfigurationError
from backhaul_contracts.kinds import RetryRule
from backhaul_contracts.wire import parse_duration

Length = timedelta | float | str
"""A length of time: a `timedelta`, seconds, or a text such as `"30s"`, `"10m"`, `"2h"`."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often, how soon, and never for which exceptions.

    The wait before the next attempt is drawn evenly from 0 to `min(cap, base * 2 ** (failures - 1))`. `never` lists
    exception types (or one) that another attempt cannot cure: they fail the task at once. The time-out of an attempt is
    a `TimeoutError` here.
    """

    max_attempts: int = 3
    base: Length = timedelta(seconds=1)
    cap: Length = timedelta(minutes=5)
    never: tuple[type[BaseException], ...] | type[BaseException] = ()
    rule: RetryRule = field(init=False, repr=False, compare=False)
    """The policy as it is announced."""

    def __post_init__(self) -> None:
        _check_types(self.never)
        _check_count(self.max_attempts)
        base, cap = _length("base", self.base), _length("cap", self.cap)
        object.__setattr__(self, "rule", RetryRule(max_attempts=self.max_attempts, base=base, cap=cap))

    def forbids(self, error: BaseException) -> bool:
        """Whether another attempt makes no sense after `error`."""
        return isinstance(error, self.never)


def _check_types(never: object) -> None:
    for kind in never if isinstance(never, tuple) else (never,):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigurationError(f"RetryPolicy(never=…) holds {kind!r}: list exception types only")


def _check_count(max_attempts: object) -> None:
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
        raise ConfigurationError(f"RetryPolicy(max_attempts={max_attempts!r}) cannot be: give a whole number from 1")


def _length(name: str, value: Length) -> timedelta:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ConfigurationError(f"RetryPolicy({name}={value!r}) cannot be: {error}") from error
