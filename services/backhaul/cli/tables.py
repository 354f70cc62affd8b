"""Tables for people."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backhaul.cli import wording
from backhaul.cli.terminal import printable
from backhaul.client import DeadLetter, KindInfo, QueueInfo, WebhookDelivery, WebhookEndpoint, WorkerInfo
from backhaul.core.apikeys import ApiKey
from backhaul_contracts.deadletters import Encoding
from backhaul_contracts.tasks import Status, Task

_LONGEST_JSON = 2000


def tasks(found: Sequence[Task]) -> Table:
    """One task a row."""
    table = _table("id", "kind", "status", "attempt", "progress", "created")
    for task in found:
        attempt = f"{task.attempt}/{task.max_attempts}"
        progress = wording.progress(task.progress) if task.progress and not task.done else ""
        table.add_row(
            task.id, task.kind, _status(task.status), attempt, printable(progress), wording.age(task.created_at)
        )
    return table


def task(task: Task) -> RenderableType:
    """All there is to know of a task."""
    table = Table.grid(padding=(0, 2))
    for name, value in _facts(task):
        table.add_row(Text(name, style="bold"), value if isinstance(value, Text) else Text(printable(value)))
    payloads = [("input", task.input)]
    if task.status is Status.SUCCEEDED:
        payloads.append(("result", task.result))
    blocks = [Text.assemble((f"\n{name}\n", "bold"), _json(value)) for name, value in payloads]
    return Group(table, *blocks)


def kinds(found: Sequence[KindInfo]) -> Table:
    """One kind a row; optional fields of its input have a question mark."""
    table = _table("kind", "version", "service", "queue", "timeout", "attempts", "workers", "input")
    for kind in found:
        numbers = wording.length(kind.timeout), str(kind.retry.max_attempts), str(kind.workers)
        table.add_row(kind.kind, kind.version, kind.service, kind.queue, *numbers, _fields(kind.input_schema))
    return table


def workers(found: Sequence[WorkerInfo]) -> Table:
    """One worker a row."""
    table = _table("id", "service", "version", "state", "running", "last heartbeat")
    for worker in found:
        running = f"{worker.running}/{worker.slots}"
        heard = wording.age(worker.last_heartbeat)
        table.add_row(worker.id, worker.service, worker.version, worker.state, running, heard)
    return table


def queues(found: Sequence[QueueInfo]) -> Table:
    """One queue a row."""
    table = _table("queue", "state", "waiting", "oldest", "running", "tasks/s")
    for queue in found:
        state = Text("paused", style="yellow") if queue.paused else Text("open")
        oldest = "" if queue.oldest_age is None else wording.length(queue.oldest_age)
        table.add_row(queue.name, state, str(queue.waiting), oldest, str(queue.running), f"{queue.rate:.3g}")
    return table


def api_keys(found: Sequence[ApiKey]) -> Table:
    """One API key a row."""
    table = _table("id", "name", "tenant", "scopes", "made", "state")
    for key in found:
        state = Text("valid") if key.revoked_at is None else Text("revoked", style="red")
        named = printable(key.name), printable(key.tenant), " ".join(sorted(key.scopes))
        table.add_row(key.id, *named, wording.age(key.created_at), state)
    return table


def endpoints(found: Sequence[WebhookEndpoint]) -> Table:
    """One webhook endpoint a row."""
    table = _table("id", "state", "url", "events", "description")
    for endpoint in found:
        state = Text("enabled") if endpoint.enabled else Text(endpoint.disabled_reason or "disabled", style="yellow")
        described = printable(endpoint.url), " ".join(endpoint.events), printable(_line(endpoint.description or ""))
        table.add_row(endpoint.id, state, *described)
    return table


def deliveries(found: Sequence[WebhookDelivery]) -> Table:
    """One delivery of a webhook a row."""
    table = _table("id", "event", "task", "state", "tries", "last answer", "sent to")
    for delivery in found:
        last = delivery.attempts[-1] if delivery.attempts else None
        said = " ".join(str(part) for part in (last.status, last.error) if part) if last else ""
        facts = delivery.event, delivery.task_id or "", delivery.state, str(len(delivery.attempts))
        table.add_row(delivery.id, *facts, printable(_line(said)), printable(delivery.url))
    return table


def dead_letters(found: Sequence[DeadLetter]) -> Table:
    """One dead letter a row."""
    table = _table("id", "queue", "reason", "sent to", "task", "came", "detail")
    for letter in found:
        sent_to = f"{letter.exchange} {letter.routing_key}".strip()
        came = wording.age(letter.received_at) if letter.received_at else "?"
        facts = letter.queue.removeprefix("backhaul."), letter.reason, sent_to, letter.task_id or "", came
        table.add_row(letter.id, *map(printable, facts), printable(_line(letter.detail or "")))
    return table


def dead_letter(letter: DeadLetter) -> RenderableType:
    """All there is to know of a dead letter."""
    table = Table.grid(padding=(0, 2))
    facts = {
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "detail": letter.detail,
        "sent to": f"{letter.exchange or 'the default exchange'}, key {letter.routing_key}",
        "task": letter.task_id,
        "message id": letter.message_id,
        "content type": letter.content_type,
        "came": letter.received_at and _local(letter.received_at),
        "size": wording.size(letter.body_size),
    }
    for name, value in facts.items():
        if value:
            table.add_row(Text(name, style="bold"), Text(printable(value)))
    body = _json(letter.body) if letter.body_encoding is Encoding.JSON else printable(letter.body)
    headers = Text.assemble(("\nheaders\n", "bold"), _json(letter.headers))
    return Group(table, headers, Text.assemble((f"\nbody ({letter.body_encoding})\n", "bold"), body))


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(*columns: str) -> Table:
    """Lines and blank rows on a terminal only: a pipe gets a header and one line for each row."""
    lines = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=lines, pad_edge=False, header_style="bold")
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, overflow="fold")
    return table


def _status(status: Status) -> Text:
    return Text(status, style=wording.STYLES.get(status, ""))


def _facts(task: Task) -> Iterator[tuple[str, Any]]:
    """What is known, and differs from the default."""
    yield "id", task.id
    yield "kind", task.kind
    yield "status", _status(task.status)
    yield "attempt", f"{task.attempt} of {task.max_attempts}"
    if task.progress:
        yield "progress", wording.progress(task.progress)
    if task.error:
        yield "error", ": ".join(part for part in (task.error.code, task.error.title, task.error.detail) if part)
    if task.cancel:
        yield "cancel", ", ".join(part for part in (task.cancel.outcome, task.cancel.reason) if part) or "asked for"
    yield "queue", f"{task.queue}, priority {task.priority}"
    if task.key:
        yield "key", task.key
    if task.metadata:
        yield "metadata", " ".join(f"{name}={value}" for name, value in task.metadata.items())
    for name, value in (("parent", task.parent_id), ("replay of", task.replay_of)):
        if value:
            yield name, value
    yield from _times(task)


def _times(task: Task) -> Iterator[tuple[str, str]]:
    moments = {
        "created": task.created_at,
        "scheduled": task.scheduled_for,
        "started": task.started_at,
        "finished": task.finished_at,
        "expires": task.expires_at,
        "kept until": task.retained_until,
    }
    for name, moment in moments.items():
        if moment is not None:
            yield name, _local(moment)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _json(value: Any) -> str:
    text = printable(json.dumps(value, indent=2, ensure_ascii=False))
    if len(text) <= _LONGEST_JSON:
        return text
    return f"{text[:_LONGEST_JSON]}…\n({wording.size(len(text))}; --json shows all)"


def _fields(schema: dict[str, Any]) -> str:
    properties, required = schema.get("properties", {}), schema.get("required", ())
    if not properties:
        return printable(schema.get("title") or schema.get("type") or "any JSON")
    return printable(", ".join(name if name in required else f"{name}?" for name in properties))
