"""How a task ended, as an exit code: 0 succeeded, 1 failed, 3 cancelled, 4 expired."""

from backhaul_contracts.tasks import Status, Task

_CODES = {Status.SUCCEEDED: 0, Status.FAILED: 1, Status.CANCELLED: 3, Status.EXPIRED: 4}


def exit_code(task: Task) -> int:
    """The code of a task that is done."""
    return _CODES.get(task.status, 1)
