"""A message that was once sent must be readable for ever."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from backhaul_contracts import messages as m
from backhaul_contracts import schemas

GOLDEN = Path(__file__).parents[3] / "contracts" / "golden"

FAMILIES: dict[str, Any] = {
    "task.submit": m.Submitted,
    "task.accepted": m.AcceptedReply,
    "task.rejected": m.RejectedReply,
    "reply.succeeded": m.EndedReply,
    "task.call": m.Submitted,
    "task.token": m.TokenIssued,
    "worker.claim": list[m.Claimed],
    "ledger.grants": list[m.WorkerMessage],
    "worker.beat": list[m.Beaten],
    "ledger.leases": list[m.WorkerMessage],
    "ledger.refused": list[m.WorkerMessage],
    "worker.report": list[m.ShardMessage],
    "worker.calling": list[m.ShardMessage],
    "ledger.lapse": list[m.ShardMessage],
    "ledger.recorded": list[m.WorkerMessage],
    "task.stop": list[m.StopAsked],
    "live": m.Live,
    "task.succeeded": m.Published,
}


def golden_files() -> list[Path]:
    return sorted(GOLDEN.glob("*.json"))


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.stem)
def test_a_stored_message_is_read_and_says_the_same_when_written_again(path: Path) -> None:
    stored = path.read_bytes()
    adapter = TypeAdapter(FAMILIES[path.stem.rpartition(".v")[0]])

    message = adapter.validate_json(stored)

    assert json.loads(adapter.dump_json(message, exclude_unset=True)) == _normal(json.loads(stored))


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.stem)
def test_a_message_of_a_newer_version_with_one_more_field_everywhere_is_still_read(path: Path) -> None:
    family = FAMILIES[path.stem.rpartition(".v")[0]]
    adapter, stored = TypeAdapter(family), json.loads(path.read_bytes())
    newer = _extended(stored)
    if family is m.Submitted:
        newer["data"] = stored["data"]  # what a client asks for is understood wholly, or refused

    message = adapter.validate_python(newer)

    assert adapter.dump_python(message)


def test_every_message_type_has_a_golden_message() -> None:
    stored = [json.loads(path.read_bytes()) for path in golden_files()]
    types = {event["type"] for content in stored for event in (content if isinstance(content, list) else [content])}

    several = (m.Published, m.EndedReply)
    named = {model.model_fields["type"].default for model in schemas.MESSAGES if model not in several}

    assert named <= types


def test_the_generated_schemas_have_not_drifted() -> None:
    assert schemas.drift() == []


def test_drift_names_what_is_missing_and_what_has_changed(tmp_path: Path) -> None:
    schemas.write(tmp_path)
    (tmp_path / "Task.json").unlink()
    (tmp_path / "Event.json").write_text("{}")

    drift = schemas.drift(tmp_path)

    assert drift == ["Event.json differs from its model", "Task.json is missing"]


def _normal(stored: Any) -> Any:
    """Durations are read in any spelling and written in seconds."""
    data = stored.get("data") if isinstance(stored, dict) else None
    if isinstance(data, dict) and data.get("delay") == "30s":
        return {**stored, "data": {**data, "delay": 30.0}}
    return stored


def _extended(content: Any) -> Any:
    """The same, with a field more in each object."""
    match content:
        case list():
            return [_extended(part) for part in content]
        case dict():
            return {name: _extended(part) for name, part in content.items()} | {"newextension": "of a later version"}
    return content
