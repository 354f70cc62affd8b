"""Errors of a context's methods, on their way from the worker to the child process whose handler has called."""

import asyncio
from typing import Any

from backhaul.core.errors import BackhaulError, CallFailed, Rejected, TooManyCalls
from backhaul.worker.kit.payloads import Unwritable
from backhaul_contracts.failures import Failure
from backhaul_contracts.problems import Problem, ProblemCode

_KNOWN: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (asyncio.CancelledError, TimeoutError, TooManyCalls, TypeError, Unwritable, ValueError)
}


def describe(error: BaseException) -> dict[str, Any]:
    """`error` as JSON; of a kind that is not known here, its nearest base that is."""
    if isinstance(error, Rejected):
        return {"type": "Rejected", "problem": error.problem.model_dump(mode="json")}
    if isinstance(error, CallFailed):
        failure = error.error and error.error.model_dump(mode="json")
        return {"type": "CallFailed", "call": [error.task_id, error.kind, error.status, failure]}
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KNOWN), "BackhaulError")
    return {"type": name, "message": str(error)}


def revive(said: dict[str, Any]) -> BaseException:
    """The error that `describe` was given."""
    if said["type"] == "Rejected":
        problem = Problem.model_validate(said["problem"])
        return Rejected(ProblemCode(problem.code), problem.detail, errors=problem.errors, task_id=problem.task_id)
    if said["type"] == "CallFailed":
        task_id, kind, status, failure = said["call"]
        return CallFailed(task_id, kind, status, failure and Failure.model_validate(failure))
    return _KNOWN.get(said["type"], BackhaulError)(said["message"])
