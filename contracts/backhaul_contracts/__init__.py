"""The contracts of Backhaul: everything that crosses a wire, as pydantic models. It depends on pydantic alone."""

from backhaul_contracts.envelope import CLOUDEVENT, CLOUDEVENT_BATCH, CloudEvent
from backhaul_contracts.events import Event, EventType, PublicEvent
from backhaul_contracts.failures import Failure, FailureCode
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.problems import Problem, ProblemCode
from backhaul_contracts.submissions import CancelTask, SubmitTask
from backhaul_contracts.tasks import Progress, Status, Task

__all__ = [
    "CLOUDEVENT",
    "CLOUDEVENT_BATCH",
    "CancelTask",
    "CloudEvent",
    "Event",
    "EventType",
    "Failure",
    "FailureCode",
    "KindSpec",
    "Problem",
    "ProblemCode",
    "Progress",
    "PublicEvent",
    "Status",
    "SubmitTask",
    "Task",
]
