"""The calls of the HTTP API for operators: where each leads, and what it asks for and answers."""

from backhaul.core.apikeys import Scope
from backhaul.core.messages.deadletters import QUEUES
from backhaul.gateway.api.deadletters import MOST_LETTERS, DeadLetters
from backhaul.gateway.api.queues import Queues
from backhaul.gateway.api.routes import JSON, Endpoint, Operation, in_path, query
from backhaul.gateway.api.workers import Workers
from backhaul.gateway.gateway import Gateway
from backhaul_contracts.deadletters import DeadLetter, DeadLetterPage
from backhaul_contracts.listings import QueueInfo, QueuePage, WorkerInfo, WorkerPage

_TEXT = {"type": "string"}
_QUEUE = in_path("name", "Its name, such as `digest`.")
LIST_WORKERS = Operation(
    scope=Scope.READ,
    tag="workers",
    summary="List workers",
    answers={200: ("Workers of the last day.", {JSON: WorkerPage})},
)
DRAIN = Operation(
    scope=Scope.ADMIN,
    tag="workers",
    summary="Drain a worker",
    description="With its next beat it takes no more tasks, finishes or hands back what it has, and leaves for good.",
    parameters=(in_path("worker_id", "As the list names it."),),
    answers={202: ("The worker.", {JSON: WorkerInfo})},
    problems=(404,),
)
LIST_QUEUES = Operation(
    scope=Scope.READ,
    tag="queues",
    summary="List queues",
    answers={200: ("Every queue.", {JSON: QueuePage})},
)
PAUSE = Operation(
    scope=Scope.ADMIN,
    tag="queues",
    summary="Pause a queue",
    description="Nothing more is started from it. What runs goes on, and submits are accepted.",
    parameters=(_QUEUE,),
    answers={200: ("The queue.", {JSON: QueueInfo})},
    problems=(404,),
)
RESUME = Operation(
    scope=Scope.ADMIN,
    tag="queues",
    summary="Resume a queue",
    parameters=(_QUEUE,),
    answers={200: ("The queue.", {JSON: QueueInfo})},
    problems=(404,),
)
_LETTER = in_path("letter_id", "As the list names it.")
LIST_DEAD_LETTERS = Operation(
    scope=Scope.ADMIN,
    tag="dead letters",
    summary="List what could not be handled, newest first",
    description="Long bodies are cut. `unseen` counts those that wait behind what one look goes through.",
    parameters=(
        query("queue", "", {"type": "string", "enum": [*QUEUES]}),
        query("reason", "A problem code, or `expired`, `rejected`, `delivery_limit`, `unrouted`.", _TEXT),
        query("limit", "", {"type": "integer", "minimum": 1, "maximum": MOST_LETTERS, "default": 50}),
        query("cursor", "`next_cursor` of the page before.", _TEXT),
    ),
    answers={200: ("A page of dead letters.", {JSON: DeadLetterPage})},
)
DEAD_LETTER = Operation(
    scope=Scope.ADMIN,
    tag="dead letters",
    summary="Show a dead letter with its whole body",
    parameters=(_LETTER,),
    answers={200: ("The letter.", {JSON: DeadLetter})},
    problems=(404,),
)
REPLAY_DEAD_LETTER = Operation(
    scope=Scope.ADMIN,
    tag="dead letters",
    summary="Send a dead letter again where it was sent first",
    description="It leaves the dead letters when the broker has taken it, and may come back as another one.",
    parameters=(_LETTER,),
    answers={202: ("It is on its way.", {JSON: DeadLetter})},
    problems=(404, 409),
)
DELETE_DEAD_LETTER = Operation(
    scope=Scope.ADMIN,
    tag="dead letters",
    summary="Delete a dead letter",
    parameters=(_LETTER,),
    answers={204: ("It is gone.", {})},
    problems=(404,),
)


def operator_calls(gateway: Gateway) -> list[tuple[str, str, Endpoint, Operation]]:
    """Method, path, endpoint and description of each."""
    workers, queues, letters = Workers(gateway), Queues(gateway), DeadLetters(gateway)
    return [
        ("GET", "/v1/workers", workers.list_workers, LIST_WORKERS),
        ("POST", "/v1/workers/{worker_id}/drain", workers.drain_worker, DRAIN),
        ("GET", "/v1/queues", queues.list_queues, LIST_QUEUES),
        ("POST", "/v1/queues/{name}/pause", queues.pause_queue, PAUSE),
        ("POST", "/v1/queues/{name}/resume", queues.resume_queue, RESUME),
        ("GET", "/v1/dead-letters", letters.list_dead_letters, LIST_DEAD_LETTERS),
        ("GET", "/v1/dead-letters/{letter_id}", letters.dead_letter, DEAD_LETTER),
        ("POST", "/v1/dead-letters/{letter_id}/replay", letters.replay_dead_letter, REPLAY_DEAD_LETTER),
        ("DELETE", "/v1/dead-letters/{letter_id}", letters.delete_dead_letter, DELETE_DEAD_LETTER),
    ]
