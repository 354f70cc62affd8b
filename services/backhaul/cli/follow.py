"""Attending a task to its end, and what is said of it then."""

import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

from backhaul.cli import faults, wording
from backhaul.cli.outcome import exit_code
from backhaul.cli.session import PATIENT, gateway
from backhaul.cli.terminal import notes, output
from backhaul.cli.views import JsonView, PlainView, View
from backhaul.client import AsyncTask, Output
from backhaul.client.errors import not_succeeded
from backhaul_contracts.tasks import Status, Task


async def watch(url: str | None, task_id: str, *, as_json: bool, with_result: bool = False) -> int:
    """Show a task while it runs; the exit code of its end. Its result is shown if it has put out nothing else."""
    async with gateway(url, patience=PATIENT) as client:
        handle = await client.get(task_id)
        with _goes_on(handle):
            shown = await follow(handle, _view(as_json=as_json))
    if not as_json:
        conclude(handle.state, with_result=with_result or not shown.deltas)
    return exit_code(handle.state)


async def wait(url: str | None, task_id: str, *, as_json: bool) -> int:
    """Wait for the end of a task, then show its result; the exit code of its end."""
    async with gateway(url, patience=PATIENT) as client:
        handle = await client.get(task_id)
        with _goes_on(handle), _spinner(f"waiting for {handle.id}"):
            task = await handle.wait()
    if as_json:
        print(task.model_dump_json(indent=2))
    else:
        conclude(task, with_result=True)
    return exit_code(task)


async def follow(handle: AsyncTask, view: View) -> Output:
    """Show all events of a task to its end. Its output as it then is; `handle.state` is the final record."""
    shown = Output()
    with view:
        async with aclosing(handle.events()) as events:
            async for event in events:
                view.take(event, withdrawn=shown.take(event))
    await handle.refresh()
    await handle.wait()
    return shown


def conclude(task: Task, *, with_result: bool) -> None:
    """The result on the standard output, the rest on the error output."""
    if task.status is not Status.SUCCEEDED:
        faults.say(str(not_succeeded(task)))
        return
    if with_result:
        print(json.dumps(task.result, indent=2, ensure_ascii=False))
    took = wording.length((task.finished_at or task.created_at) - task.created_at)
    notes().print(f"{task.id} succeeded in {took}, attempt {task.attempt} of {task.max_attempts}", style="green")


def _view(*, as_json: bool) -> View:
    """The view that fits who reads."""
    if as_json:
        return JsonView()
    console = output()
    if not console.is_terminal:
        return PlainView()
    from backhaul.cli.live import LiveView

    return LiveView(console)


@contextmanager
def _goes_on(handle: AsyncTask) -> Iterator[None]:
    """Whoever leaves early is told how to come back."""
    try:
        yield
    except BaseException:
        notes().print(f"{handle.id} goes on: `backhaul watch {handle.id}` shows it")
        raise


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    console = notes()
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield
