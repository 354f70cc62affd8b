"""The calls of the HTTP API, v1: where each leads, and what it asks for and answers."""

from backhaul.core.apikeys import Scope
from backhaul.gateway.api.events import Events
from backhaul.gateway.api.health import Health, Readiness
from backhaul.gateway.api.kinds import Kinds
from backhaul.gateway.api.operatorcalls import operator_calls
from backhaul.gateway.api.routes import JSON, Operation, Route, in_header, in_path, query
from backhaul.gateway.api.steering import Steering
from backhaul.gateway.api.submissions import BatchAnswer, Submissions
from backhaul.gateway.api.tasks import Tasks
from backhaul.gateway.api.webhookcalls import webhook_calls
from backhaul.gateway.api.wide_events import WideEvents
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.conditions import EVENT_STREAM
from backhaul.gateway.metrics import OPENMETRICS
from backhaul_contracts.events import EventPage, EventType
from backhaul_contracts.listings import KindInfo, KindPage
from backhaul_contracts.problems import PROBLEM_JSON, Problem
from backhaul_contracts.submissions import CancelTask, ReplayTask, SubmitBatch, SubmitTask
from backhaul_contracts.tasks import Status, Task, TaskPage

_TASK = {JSON: Task}
_TASK_OR_STREAM = {JSON: Task, EVENT_STREAM: None}
_ID = in_path("task_id", "`tsk_` and 26 characters.")
_KEY = in_header("Idempotency-Key", "The same as `key` in the body: one task for one key, however often it is sent.")
_WAIT = in_header("Prefer", "`wait=N`: hold the answer back for up to N seconds (at most 50).")
_STREAM = in_header("Accept", f"`{EVENT_STREAM}`: answer with the events of the task, as they come.")
_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}

SUBMIT = Operation(
    scope=Scope.SUBMIT,
    notes_itself=True,
    tag="tasks",
    summary="Submit a task",
    description="Answers once the task is durable. A repeated key answers with the task that has it already.",
    body=SubmitTask,
    parameters=(_KEY, _WAIT, _STREAM, in_header("traceparent", "W3C trace context, passed on to the handler.")),
    answers={
        202: ("Accepted; `Location` tells where it is.", _TASK),
        200: ("Done already, or the event stream that was asked for.", _TASK_OR_STREAM),
    },
    problems=(404,),
)
SUBMIT_BATCH = Operation(
    scope=Scope.SUBMIT,
    notes_itself=True,
    tag="tasks",
    summary="Submit up to 1,000 tasks",
    description="The valid ones are accepted, in one commit; the others are named in `errors`.",
    body=SubmitBatch,
    answers={202: ("What became of each.", {JSON: BatchAnswer})},
)
GET_TASK = Operation(
    scope=Scope.READ,
    tag="tasks",
    summary="Show a task",
    description="With `Prefer: wait`: when it is done, or with `If-None-Match` when it has changed.",
    parameters=(_ID, in_header("If-None-Match", "The `ETag` of the last answer."), _WAIT),
    answers={200: ("The task.", _TASK), 304: ("It has not changed.", {})},
    problems=(404, 410),
)
FIND_TASKS = Operation(
    scope=Scope.READ,
    tag="tasks",
    summary="List tasks, newest first",
    parameters=(
        query("status", "May be repeated.", {"type": "string", "enum": [*Status]}, many=True),
        query("kind", "", _TEXT),
        query("queue", "", _TEXT),
        query("key", "", _TEXT),
        query("parent_id", "", _TEXT),
        query("created_after", "Exclusive.", _TIME),
        query("created_before", "Exclusive.", _TIME),
        query("metadata.x", "Tasks whose metadata `x` has this value, for any name `x`.", _TEXT),
        query("limit", "", {"type": "integer", "minimum": 1, "maximum": 100, "default": 50}),
        query("cursor", "`next_cursor` of the page before.", _TEXT),
    ),
    answers={200: ("A page of tasks.", {JSON: TaskPage})},
)
DELETE_TASK = Operation(
    scope=Scope.CANCEL,
    tag="tasks",
    summary="Delete a task that is done",
    parameters=(_ID,),
    answers={204: ("Deleted, with its result and events.", {})},
    problems=(404, 409, 410),
)
RESULT = Operation(
    scope=Scope.READ,
    tag="tasks",
    summary="The bare result",
    parameters=(_ID, _WAIT),
    answers={200: ("What the handler returned.", {JSON: None})},
    problems=(404, 409, 410),
)
EVENTS = Operation(
    scope=Scope.READ,
    tag="tasks",
    summary="Follow a task",
    linked=True,
    description="Server-Sent Events until the task is done; with `Accept: application/json` a page of the log.",
    parameters=(
        _ID,
        query("after", "Go on behind this `seq`; 0: everything. None: a snapshot first.", {"type": "integer"}),
        query("limit", "For the JSON log.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
        in_header("Last-Event-ID", "Like `after`, and wins over it."),
        query("token", "Instead of a key: as in `links.stream` of the task.", _TEXT),
    ),
    answers={
        200: ("The events.", {EVENT_STREAM: None, JSON: EventPage}),
        204: ("The task is done and nothing follows the cursor.", {}),
    },
    problems=(404, 406, 410),
)
WIDE_EVENTS = Operation(
    scope=Scope.READ,
    tag="tasks",
    summary="Follow many tasks",
    description="Server-Sent Events of all tasks that fit, from now on. `stream.gap` stands for what is missing.",
    parameters=(
        query("type", "May be repeated.", {"type": "string", "enum": [*EventType]}, many=True),
        query(
            "status",
            "The status right after the event; progress, output and log count as `running`. May be repeated.",
            {"type": "string", "enum": [*Status]},
            many=True,
        ),
        query("kind", "", _TEXT),
        query("queue", "", _TEXT),
        query("key", "", _TEXT),
        query("parent_id", "", _TEXT),
        query("metadata.x", "Tasks whose metadata `x` has this value, for any name `x`.", _TEXT),
        in_header("Last-Event-ID", "Whatever it is: the stream begins with `stream.gap`."),
    ),
    answers={200: ("The events; the `id` of each is `<task_id>:<seq>`.", {EVENT_STREAM: None})},
    problems=(406,),
)
CANCEL = Operation(
    scope=Scope.CANCEL,
    tag="tasks",
    summary="Cancel a task",
    body=CancelTask,
    body_required=False,
    parameters=(_ID,),
    answers={
        200: ("Cancelled, or done already and unchanged.", _TASK),
        202: ("Its attempt was asked to stop. It may still end otherwise.", _TASK),
    },
    problems=(404, 410),
)
RETRY = Operation(
    scope=Scope.SUBMIT,
    tag="tasks",
    summary="Run a task again that ended without success",
    parameters=(_ID,),
    answers={202: ("The same task, in a new run.", _TASK)},
    problems=(404, 409, 410),
)
REPLAY = Operation(
    scope=Scope.SUBMIT,
    notes_itself=True,
    tag="tasks",
    summary="Submit the same again as a new task",
    body=ReplayTask,
    body_required=False,
    parameters=(_ID, _KEY, _WAIT, _STREAM),
    answers={
        202: ("The new task; `replay_of` names the old one.", _TASK),
        200: ("Done already, or the event stream that was asked for.", _TASK_OR_STREAM),
    },
    problems=(404, 410),
)
LIST_KINDS = Operation(
    scope=Scope.READ,
    tag="kinds",
    summary="List kinds",
    answers={200: ("Every kind.", {JSON: KindPage})},
)
KIND = Operation(
    scope=Scope.READ,
    tag="kinds",
    summary="Show a kind",
    parameters=(in_path("kind", "Its name, such as `digest.summarise`."),),
    answers={200: ("The kind.", {JSON: KindInfo})},
    problems=(404,),
)
ALIVE = Operation(
    scope=None, tag="health", summary="Whether the process lives", answers={200: ("It does.", {JSON: None})}
)
READY = Operation(
    scope=None,
    tag="health",
    summary="Whether store and broker are up",
    description="`accepting`: submits are taken, which needs the store alone, so it may be true with a 503.",
    parameters=(
        query("need", "Ask only for these parts.", {"type": "string", "enum": ["store", "broker"]}, many=True),
    ),
    answers={
        200: ("All that is needed is up.", {JSON: Readiness}),
        503: ("`down` names what is not.", {PROBLEM_JSON: Problem}),
    },
    problems=(422,),
)

METRICS = Operation(
    scope=Scope.READ,
    tag="health",
    summary="The metrics of this process, for Prometheus",
    answers={200: ("Text, or OpenMetrics if `Accept` prefers it.", {"text/plain": None, OPENMETRICS: None})},
)


def routes(gateway: Gateway) -> list[Route]:
    """Every route, the busiest first: they are tried in this order."""
    events = Events(gateway)
    submissions, tasks, steering = Submissions(gateway, events), Tasks(gateway), Steering(gateway)
    kinds, health = Kinds(gateway), Health(gateway)
    return [
        Route(method, path, endpoint, operation, gateway)
        for method, path, endpoint, operation in (
            ("POST", "/v1/tasks", submissions.submit, SUBMIT),
            ("GET", "/v1/tasks/{task_id}", tasks.get, GET_TASK),
            ("GET", "/v1/tasks/{task_id}/events", events.read, EVENTS),
            ("GET", "/v1/events", WideEvents(gateway).follow, WIDE_EVENTS),
            ("GET", "/v1/tasks/{task_id}/result", tasks.result, RESULT),
            ("POST", "/v1/tasks/batch", submissions.submit_batch, SUBMIT_BATCH),
            ("GET", "/v1/tasks", tasks.find, FIND_TASKS),
            ("POST", "/v1/tasks/{task_id}/cancel", steering.cancel, CANCEL),
            ("POST", "/v1/tasks/{task_id}/retry", steering.retry, RETRY),
            ("POST", "/v1/tasks/{task_id}/replay", submissions.replay, REPLAY),
            ("DELETE", "/v1/tasks/{task_id}", tasks.delete, DELETE_TASK),
            ("GET", "/v1/kinds", kinds.list_kinds, LIST_KINDS),
            ("GET", "/v1/kinds/{kind}", kinds.kind, KIND),
            *operator_calls(gateway),
            *webhook_calls(gateway),
            ("GET", "/healthz", health.alive, ALIVE),
            ("GET", "/readyz", health.ready, READY),
            ("GET", "/metrics", health.metrics, METRICS),
        )
    ]
