"""Deciding what is reported of an attempt whose handler has ended, in whatever way."""

import logging

from backhaul.core.signals import Signal
from backhaul.worker.attempts import failures
from backhaul.worker.attempts.attempt import Attempt, StopCause
from backhaul.worker.attempts.failures import Verdict
from backhaul.worker.kit.payloads import Shape, Unwritable, within
from backhaul.worker.reporting import bodies
from backhaul_contracts.ids import new_id

_log = logging.getLogger("backhaul.worker")


def of_result(attempt: Attempt, value: object, shape: Shape, limit: int) -> bytes | None:
    """The handler has returned."""
    if attempt.cause is not None and (interrupted := _of_interrupted_result(attempt)) is not _A_RESULT:
        return interrupted
    try:
        return bodies.succeeded(within("the result", shape.write(value), limit))
    except Unwritable as error:
        return _unwritable(attempt, str(error))
    except Exception as error:  # noqa: BLE001 - code of the service's types, which may raise anything
        return _failed(attempt, error)


def of_written_result(attempt: Attempt, result: bytes | Unwritable) -> bytes | None:
    """The handler has returned in a child process, which has written its result or found that it cannot be."""
    if attempt.cause is not None and (interrupted := _of_interrupted_result(attempt)) is not _A_RESULT:
        return interrupted
    return _unwritable(attempt, str(result)) if isinstance(result, Unwritable) else bodies.succeeded(result)


def of_stop(attempt: Attempt, error: BaseException) -> bytes | None:
    """The handler has ended with `CancelledError`."""
    if attempt.cause is None:
        return of_error(attempt, error)
    return _stopped(attempt)


def of_error(attempt: Attempt, error: BaseException) -> bytes | None:
    """The handler has raised. After it was asked to stop, what it raises is its way of stopping; in a thread only if
    it has seen that it should."""
    if _is_way_of_stopping(attempt, signal=isinstance(error, Signal)):
        return _stopped(attempt)
    return _failed(attempt, error)


def of_verdict(attempt: Attempt, verdict: Verdict, stack: str) -> bytes | None:
    """The handler has raised in a child process, which has judged that."""
    if _is_way_of_stopping(attempt, signal=verdict.expected):
        return _stopped(attempt)
    return _judged(attempt, verdict, stack=stack)


def of_death(attempt: Attempt, detail: str) -> bytes | None:
    """The child process is gone. After the attempt was asked to stop, that is what was wanted."""
    if attempt.cause is not None:
        return _stopped(attempt)
    _log.warning("%s is lost: %s", attempt, detail)
    return bodies.failed(failures.lost(detail))


def of_misfit(attempt: Attempt, detail: str) -> bytes | None:
    """The input does not fit the handler, which has not been called."""
    _log.warning("%s: the input does not fit: %s", attempt, detail)
    return bodies.failed(failures.rejected_input(detail))


def of_overrun(attempt: Attempt) -> bytes:
    """The time is over and so is the grace, and the handler is still running."""
    failure = failures.timed_out(attempt.grant.timeout, attempt.handler.retry, still_running=True)
    return bodies.failed(failure, still_running=True)


_A_RESULT = b"a result"


def _is_way_of_stopping(attempt: Attempt, *, signal: bool) -> bool:
    if attempt.cause is StopCause.LEAVING and (signal or (attempt.is_blocking and not attempt.noticed)):
        return False
    return attempt.cause is not None


def _of_interrupted_result(attempt: Attempt) -> bytes | None:
    """What a result means that came after the attempt was asked to stop.

    The result of a thread after a cancel may be half a result: nobody wants it any more. A worker that is leaving
    would like to have it; but a thread that has seen the request may have returned because of it. After a time-out
    it comes too late, however little.
    """
    if attempt.cause is StopCause.CANCELLED and not attempt.is_blocking:
        return _A_RESULT
    if attempt.cause is StopCause.LEAVING and not (attempt.is_blocking and attempt.noticed):
        return _A_RESULT
    _log.warning("%s has ended with a result, but it was asked to stop (%s): it is dropped", attempt, attempt.cause)
    return _stopped(attempt)


def _failed(attempt: Attempt, error: BaseException) -> bytes:
    return _judged(attempt, failures.judge(error, attempt.handler.retry, new_id("trc")), error=error)


def _judged(attempt: Attempt, verdict: Verdict, *, error: BaseException | None = None, stack: str = "") -> bytes:
    failure = verdict.failure
    if verdict.expected:
        _log.info("%s: %s: %s", attempt, failure.code, failure.detail)
    else:
        shown = f"\n{stack.rstrip()}" if stack else ""
        _log.warning("%s failed (trace %s)%s", attempt, failure.trace_id, shown, exc_info=error)
    after = verdict.retry_after
    return bodies.failed(failure, None if after is None else after.total_seconds())


def _unwritable(attempt: Attempt, detail: str) -> bytes:
    _log.warning("%s: %s", attempt, detail)
    return bodies.failed(failures.unwritable_result(attempt.grant.kind, detail))


def _stopped(attempt: Attempt) -> bytes | None:
    """What was asked for has happened."""
    if attempt.cause is StopCause.TIMED_OUT:
        return bodies.failed(failures.timed_out(attempt.grant.timeout, attempt.handler.retry, still_running=False))
    if attempt.cause is StopCause.CANCELLED:
        return bodies.STOPPED
    return bodies.HANDED_BACK if attempt.cause is StopCause.LEAVING else None
