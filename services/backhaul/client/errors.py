"""The errors that a client raises.

    BackhaulError
    └── ClientError
        ├── ConnectionFailed        no gateway answers at the URL
        ├── UnexpectedAnswer        something answers there that is not a Backhaul gateway
        ├── Refused                 the gateway says no; `.problem` says why
        │   ├── Unauthorized        401, 403
        │   ├── NotFound            404, 410
        │   ├── Conflict            409
        │   ├── InvalidRequest      400, 413, 415, 422
        │   └── Overloaded          429, 503
        └── NotSucceeded            the task ended in another way; `.task` is its record, `.failure` its error
            ├── TaskFailed
            ├── TaskCancelled
            └── TaskExpired

Waiting that takes too long raises the built-in `TimeoutError`.
"""

from datetime import timedelta

from backhaul.core.errors import BackhaulError
from backhaul_contracts.failures import Failure
from backhaul_contracts.problems import Problem
from backhaul_contracts.tasks import Status, Task


class ClientError(BackhaulError):
    """The base of all errors that a client raises."""

    retry_after: timedelta = timedelta(0)
    """How long the gateway asks to wait before another try."""


class ConnectionFailed(ClientError):
    """No answer, for as long as the client's patience lasts. If `sent`, the request may have been carried out."""

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        super().__init__(
            f"no gateway answers at {url} ({reason}): start one with `backhaul dev`, or set BACKHAUL_URL to where it is"
        )
        self.url = url
        self.reason = reason
        self.sent = sent


class UnexpectedAnswer(ClientError):
    """An answer that no gateway of this version gives."""

    def __init__(self, request: str, answer: str) -> None:
        super().__init__(f"{request} was answered with {answer}: check that BACKHAUL_URL names a Backhaul gateway")


class Refused(ClientError):
    """The gateway refuses a request. `problem` is what it said (RFC 9457)."""

    def __init__(self, problem: Problem, retry_after: timedelta = timedelta(0)) -> None:
        super().__init__(_sentence(problem))
        self.problem = problem
        self.retry_after = retry_after


class Unauthorized(Refused):
    """The API key is missing, unknown, or not allowed to do this."""


class NotFound(Refused):
    """There is no such task, kind, queue or dead letter, or it is no longer kept."""


class Conflict(Refused):
    """The task is not in a status that allows this, or no queue takes the dead letter."""


class InvalidRequest(Refused):
    """The request can never be accepted; `problem.errors` points to what is wrong in it."""


class Overloaded(Refused):
    """Too many requests, or a store that is down, for longer than the client's patience lasts."""


class NotSucceeded(ClientError):
    """The task has ended, but there is no result."""

    def __init__(self, task: Task) -> None:
        super().__init__(_ending(task))
        self.task = task

    @property
    def failure(self) -> Failure | None:
        return self.task.error


class TaskFailed(NotSucceeded):
    """Its last attempt failed, and no other is allowed."""


class TaskCancelled(NotSucceeded):
    """Somebody has cancelled it."""


class TaskExpired(NotSucceeded):
    """No worker started it before its deadline."""


_BY_STATUS: dict[int, type[Refused]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: Overloaded,
    503: Overloaded,
}

_ENDINGS = {Status.FAILED: TaskFailed, Status.CANCELLED: TaskCancelled, Status.EXPIRED: TaskExpired}


def refusal(problem: Problem, retry_after: timedelta) -> Refused:
    """The error for a problem."""
    return _BY_STATUS.get(problem.status, Refused)(problem, retry_after)


def not_succeeded(task: Task) -> NotSucceeded:
    """The error for a task that ended without success."""
    return _ENDINGS.get(task.status, NotSucceeded)(task)


def _sentence(problem: Problem) -> str:
    told = (problem.detail or problem.title).rstrip(".")
    faults = [f"{fault.pointer or '/'}: {fault.detail}" for fault in problem.errors if fault.detail.rstrip(".") != told]
    return f"{told}: {'; '.join(faults)}" if faults else told


def _ending(task: Task) -> str:
    if task.status is Status.CANCELLED:
        reason = task.cancel.reason if task.cancel else None
        return f"task {task.id} was cancelled" + (f": {reason}" if reason else "")
    text = f"task {task.id} {task.status}"
    if task.attempt:
        text += f" in attempt {task.attempt}"
    if task.error:
        text += f": {task.error.title}" + (f": {task.error.detail}" if task.error.detail else "")
    return text
