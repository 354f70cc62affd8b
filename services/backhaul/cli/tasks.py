"""Commands for tasks: submit, find, follow, steer."""

import asyncio
from typing import Annotated

import typer

from backhaul.cli import inputs
from backhaul.cli.options import AsJson, TaskId, Url

_PANEL = "Tasks"

Kind = Annotated[str, typer.Argument(metavar="KIND", help="What is to be done: `backhaul kinds` lists it.")]
Input = Annotated[
    str | None, typer.Argument(metavar="JSON | @FILE | -", help="The input: JSON, a file with it, or the pipe.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (submit, tasks, show, watch, cancel, retry, replay):
        app.command(rich_help_panel=_PANEL)(command)


def submit(
    kind: Kind,
    input: Input = None,
    key: Annotated[str | None, typer.Option(help="The same key and input always give the same task.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, and print the result.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show progress and output as they come.")] = False,
    delay: Annotated[str | None, typer.Option(help="Start it so much later: 30s, 10m, 2h.")] = None,
    priority: Annotated[int, typer.Option(min=-100, max=100, help="Higher is started first.")] = 0,
    metadata: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A label; may be repeated.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit a task, and print its id.

    With --wait print its result, with --follow its output, or its result if it has none.

    Then the exit code is that of the task: 0 succeeded, 1 failed, 3 cancelled, 4 expired.
    """
    from backhaul.cli import submitting

    order = submitting.Order(kind, inputs.json_value(input), key, delay, priority, inputs.metadata(metadata or []))
    raise typer.Exit(asyncio.run(submitting.submit(url, order, wait=wait, follow=follow, as_json=as_json)))


def tasks(
    status: Annotated[list[str] | None, typer.Option(help="Only with this status; may be repeated.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only of this queue.")] = None,
    key: Annotated[str | None, typer.Option(help="Only with this key.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Only with this label.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The most that are shown.")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    from backhaul.cli import looking

    labels = inputs.metadata(metadata or [])
    filters = looking.Filters(status=inputs.statuses(status or []), kind=kind, queue=queue, key=key, metadata=labels)
    asyncio.run(looking.tasks(url, filters, limit=limit, as_json=as_json))


def show(task_id: TaskId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a task with its input, result or error."""
    from backhaul.cli import looking

    asyncio.run(looking.task(url, task_id, as_json=as_json))


def watch(task_id: TaskId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a task's progress and output from its beginning to its end; the exit code is that of the task."""
    from backhaul.cli import follow

    raise typer.Exit(asyncio.run(follow.watch(url, task_id, as_json=as_json)))


def cancel(
    task_id: TaskId,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept with the task.")] = None,
    grace: Annotated[str | None, typer.Option(help="How long the attempt may take to stop: 5s.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a task. It may take a moment until its attempt has stopped."""
    from backhaul.cli import steering

    asyncio.run(steering.cancel(url, task_id, reason, grace, as_json=as_json))


def retry(task_id: TaskId, url: Url = None, as_json: AsJson = False) -> None:
    """Run a failed, cancelled or expired task once more, under the same id."""
    from backhaul.cli import steering

    asyncio.run(steering.retry(url, task_id, as_json=as_json))


def replay(task_id: TaskId, input: Input = None, url: Url = None, as_json: AsJson = False) -> None:
    """Submit a new task like this one, with the same input or another."""
    from backhaul.cli import steering

    changed = {} if input is None else {"input": inputs.json_value(input)}
    asyncio.run(steering.replay(url, task_id, changed, as_json=as_json))
