"""Looking at tasks."""

from backhaul.cli import tables
from backhaul.cli.session import gateway
from backhaul.cli.terminal import output, show_list
from backhaul.client.queries import Filters

__all__ = ["Filters", "task", "tasks"]


async def tasks(url: str | None, filters: Filters, *, limit: int, as_json: bool) -> None:
    """A table, or a JSON array."""
    async with gateway(url) as client:
        found = [handle.state async for handle in client.list(limit=limit, **filters)]
    show_list(found, tables.tasks, "no task fits", as_json=as_json)


async def task(url: str | None, task_id: str, *, as_json: bool) -> None:
    """One task, with its payloads."""
    async with gateway(url) as client:
        state = (await client.get(task_id)).state
    if as_json:
        print(state.model_dump_json(indent=2))
    else:
        output().print(tables.task(state))
