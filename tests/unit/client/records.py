"""Tasks and events as a gateway shows them."""

import json
from typing import Any

TASK_ID = "tsk_01kz0000000000000000000000"
TIME = "2026-01-31T08:00:00.000Z"

WORKER: dict[str, Any] = {
    "id": "wrk_1",
    "service": "digest",
    "version": "1.0.0",
    "slots": 20,
    "running": 3,
    "last_heartbeat": TIME,
    "state": "ready",
}
"""Who does the work."""

_ENDINGS = ("succeeded", "failed", "cancelled", "expired")


def task(status: str = "queued", *, id: str = TASK_ID, **fields: Any) -> dict[str, Any]:
    """A task; `fields` replace what it would have."""
    links = dict.fromkeys(("self", "events", "result", "cancel", "stream"), f"/v1/tasks/{id}")
    record = {
        "id": id,
        "kind": "digest.summarise",
        "status": status,
        "done": status in _ENDINGS,
        "attempt": 0,
        "max_attempts": 3,
        "seq": 2,
        "input": {"text": "…"},
        "tenant": "default",
        "queue": "digest",
        "priority": 0,
        "metadata": {},
        "created_at": TIME,
        "links": links,
    }
    return {**record, **fields}


def event(seq: int, type: str = "task.output", *, attempt: int = 1, **data: Any) -> dict[str, Any]:
    """An event object."""
    return {"task_id": TASK_ID, "seq": seq, "attempt": attempt, "type": type, "time": TIME, "data": data}


def snapshot(status: str, *, seq: int = 2, type: str = "task.snapshot") -> dict[str, Any]:
    """The event object that carries the task itself; with `type` also a `stream.gap`."""
    return {**event(seq, type), "data": task(status, seq=seq)}


def sse(*events: dict[str, Any]) -> bytes:
    """Events as an event stream carries them."""
    return b"".join(
        f"id: {e['seq']}\nevent: {e['type']}\ndata: {json.dumps(e, ensure_ascii=False)}\n\n".encode() for e in events
    )


def page(*events: dict[str, Any], done: bool = False) -> dict[str, Any]:
    """Events as the JSON log carries them."""
    return {"data": list(events), "next_after": events[-1]["seq"] if events else 0, "done": done}


LIFE = (
    event(1, "task.accepted", attempt=0),
    event(2, "task.queued", attempt=0),
    event(3, "task.started"),
    event(4, delta="Hel"),
    event(5, delta="lo"),
    event(6, "task.succeeded", result={"sentences": ["Hello"]}),
)
"""A short and happy one."""
