"""Generates `contracts/schemas/`: one JSON Schema (2020-12) for each message and each HTTP body.

python -m backhaul_contracts.schemas            write them
python -m backhaul_contracts.schemas --check    say what has drifted, and end with 1 if anything has
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from backhaul_contracts import messages as m
from backhaul_contracts.deadletters import DeadLetterPage
from backhaul_contracts.events import Event, EventPage
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.listings import KindPage, QueuePage, WorkerPage
from backhaul_contracts.problems import Problem
from backhaul_contracts.submissions import CancelTask, ReplayTask, SubmitBatch, SubmitTask
from backhaul_contracts.tasks import Task, TaskPage
from backhaul_contracts.webhooks import (
    ChangedWebhookEndpoint,
    NewWebhookEndpoint,
    WebhookDelivery,
    WebhookDeliveryPage,
    WebhookEndpoint,
    WebhookEndpointPage,
)

MESSAGES: tuple[type[BaseModel], ...] = (
    m.Submitted,
    m.AcceptedReply,
    m.RejectedReply,
    m.EndedReply,
    m.TokenIssued,
    m.Claimed,
    m.ClaimAnswered,
    m.Beaten,
    m.BeatAnswered,
    m.Reported,
    m.Lapsed,
    m.ReportAnswered,
    m.StopAsked,
    m.Live,
    m.Published,
)
"""One CloudEvent each; between our own processes they travel in arrays."""

REQUESTS: tuple[type[BaseModel], ...] = (
    SubmitTask,
    SubmitBatch,
    CancelTask,
    ReplayTask,
    NewWebhookEndpoint,
    ChangedWebhookEndpoint,
)
"""What a client writes: these schemas say what is read, the others what is written."""

BODIES: tuple[type[BaseModel], ...] = (
    Task,
    TaskPage,
    Event,
    EventPage,
    KindSpec,
    KindPage,
    WorkerPage,
    QueuePage,
    DeadLetterPage,
    WebhookEndpoint,
    WebhookEndpointPage,
    WebhookDelivery,
    WebhookDeliveryPage,
    Problem,
)
"""What a client is answered."""

_FOLDER = Path(__file__).parent.parent / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Every schema as text, by file name."""
    written = {f"{model.__name__}.json": _schema(model, "serialization") for model in (*MESSAGES, *BODIES)}
    read = {f"{model.__name__}.json": _schema(model, "validation") for model in REQUESTS}
    return written | read


def _schema(model: type[BaseModel], mode: Literal["serialization", "validation"]) -> str:
    schema = {"$schema": _DIALECT, **model.model_json_schema(mode=mode)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def drift(folder: Path = _FOLDER) -> list[str]:
    """What differs between `folder` and the models, a sentence each."""
    wanted = schemas()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    missing = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    extra = [f"{name} belongs to no model" for name in found.keys() - wanted.keys()]
    changed = [f"{name} differs from its model" for name in wanted.keys() & found.keys() if wanted[name] != found[name]]
    return sorted(missing + extra + changed)


def write(folder: Path = _FOLDER) -> None:
    """Make `folder` hold exactly the schemas of the models."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = schemas()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    if "--check" not in arguments:
        write()
        return 0
    drifted = drift()
    for sentence in drifted:
        sys.stderr.write(f"contracts/schemas: {sentence}: run `python -m backhaul_contracts.schemas`\n")
    return 1 if drifted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
