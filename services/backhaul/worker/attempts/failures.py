"""From what ended a handler to the failure that is reported: type and message only, never a stack."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from backhaul.core.signals import Fail, Retry
from backhaul.worker.kit.retry_policy import RetryPolicy
from backhaul_contracts.failures import Failure, FailureCode

MAX_DETAIL = 2_000
_MAX_TITLE = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """A failure, and for a `Retry` the wait that it asked for. `expected`: a signal, so no fault to look into."""

    failure: Failure
    retry_after: timedelta | None = None
    expected: bool = False


def judge(error: BaseException, policy: RetryPolicy, trace_id: str) -> Verdict:
    """What an exception that left a handler means for its task.

    An exception group means what the strongest of its members means: `Fail`, then `Retry`, then what the policy
    forbids to retry.
    """
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Fail):
            return _failed(leaf)
    for leaf in leaves:
        if isinstance(leaf, Retry):
            return _retry(leaf)
    forbidden = next((leaf for leaf in leaves if policy.forbids(leaf)), None)
    shown = forbidden or (leaves[0] if len(leaves) == 1 else error)
    return Verdict(
        Failure(
            code=FailureCode.HANDLER_ERROR,
            title=printable(type(shown).__qualname__, _MAX_TITLE),
            detail=printable(_message(shown)) or None,
            retryable=forbidden is None and not policy.forbids(error),
            trace_id=trace_id,
        )
    )


def timed_out(timeout: timedelta, policy: RetryPolicy, *, still_running: bool) -> Failure:
    """An attempt ran for longer than it may. To the policy that is a `TimeoutError`."""
    rest = ", and its handler has still not stopped" if still_running else ""
    return Failure(
        code=FailureCode.TIMED_OUT,
        title="The attempt timed out",
        detail=f"It ran for longer than {timeout.total_seconds():g} s{rest}.",
        retryable=not policy.forbids(TimeoutError()),
    )


def lost(detail: str) -> Failure:
    """The process of an attempt has died, or could not run it; another may do better."""
    return Failure(
        code=FailureCode.LOST, title="The process of the attempt was lost", detail=printable(detail), retryable=True
    )


def rejected_input(detail: str) -> Failure:
    """The handler's own types refuse the input; another attempt would meet the same."""
    return Failure(
        code=FailureCode.REJECTED_INPUT,
        title="The input does not fit the handler",
        detail=printable(detail),
        retryable=False,
    )


def unwritable_result(kind: str, detail: str) -> Failure:
    """The handler succeeded, and its result cannot be recorded; another attempt would make the same."""
    return Failure(
        code=FailureCode.HANDLER_ERROR,
        title=f"The result of {kind} cannot be recorded",
        detail=printable(detail),
        retryable=False,
    )


def printable(text: str, limit: int = MAX_DETAIL) -> str:
    """`text` as every store and wire takes it: no U+0000, no lone surrogates, not too long."""
    clean = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def _failed(signal: Fail) -> Verdict:
    return Verdict(
        Failure(
            code=printable(signal.code),
            title="The handler failed the task",
            detail=None if signal.detail is None else printable(str(signal.detail)),
            retryable=False,
        ),
        expected=True,
    )


def _retry(signal: Retry) -> Verdict:
    failure = Failure(
        code=FailureCode.RETRY_REQUESTED,
        title="The handler asked for another attempt",
        detail=None if signal.reason is None else printable(str(signal.reason)),
        retryable=True,
    )
    return Verdict(failure, retry_after=signal.after, expected=True)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception of the service's own, whose __str__ may fail as well
        return "its message cannot be shown"
