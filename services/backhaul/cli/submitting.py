"""Submitting a task from the command line."""

import sys
from dataclasses import dataclass
from typing import Any

from backhaul.cli import follow as attending
from backhaul.cli.session import gateway
from backhaul.cli.terminal import notes
from backhaul.client.submission import SubmitOptions
from backhaul_contracts.tasks import Task


@dataclass(frozen=True, slots=True)
class Order:
    """What was typed."""

    kind: str
    input: Any
    key: str | None
    delay: str | None
    priority: int
    metadata: dict[str, str]

    @property
    def options(self) -> SubmitOptions:
        """All that differs from the default."""
        options: SubmitOptions = {"priority": self.priority, "metadata": self.metadata}
        if self.delay is not None:
            options["delay"] = self.delay
        return options


async def submit(url: str | None, order: Order, *, wait: bool, follow: bool, as_json: bool) -> int:
    """The exit code: that of the task, if it is attended to its end."""
    async with gateway(url) as client:
        handle = await client.submit(order.kind, order.input, key=order.key, **order.options)
    if follow:
        return await attending.watch(url, handle.id, as_json=as_json, with_result=wait)
    if wait:
        return await attending.wait(url, handle.id, as_json=as_json)
    accepted(handle.state, as_json=as_json)
    return 0


def accepted(task: Task, *, as_json: bool) -> None:
    """The id on the standard output, so that a script can take it; for people a word more beside it."""
    if as_json:
        print(task.model_dump_json(indent=2))
        return
    print(task.id)
    if sys.stdout.isatty():
        notes().print(f"{task.status}; `backhaul watch {task.id}` shows what becomes of it", style="dim")
