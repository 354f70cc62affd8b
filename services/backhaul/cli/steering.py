"""Cancelling, retrying and replaying tasks."""

from typing import Any

from backhaul.cli.session import gateway
from backhaul.cli.submitting import accepted
from backhaul_contracts.tasks import Task


async def cancel(url: str | None, task_id: str, reason: str | None, grace: str | None, *, as_json: bool) -> None:
    async with gateway(url) as client:
        task = await (await client.get(task_id)).cancel(reason, grace=grace)
    _tell(task, as_json=as_json)


async def retry(url: str | None, task_id: str, *, as_json: bool) -> None:
    async with gateway(url) as client:
        task = await (await client.get(task_id)).retry()
    _tell(task, as_json=as_json)


async def replay(url: str | None, task_id: str, changed: dict[str, Any], *, as_json: bool) -> None:
    async with gateway(url) as client:
        handle = await (await client.get(task_id)).replay(**changed)
    accepted(handle.state, as_json=as_json)


def _tell(task: Task, *, as_json: bool) -> None:
    print(task.model_dump_json(indent=2) if as_json else f"{task.id} is {task.status}")
