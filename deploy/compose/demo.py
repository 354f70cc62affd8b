"""The demo on the deployment in containers, through the proxy: once in peace, and once while its containers are killed.

    make demo-compose [FILE=text.txt]

In the second round short tasks are submitted and followed beside the document, a few at a time, while both gateways,
both ledgers and the worker are killed (SIGKILL) in the middle of the work, and started again as an orchestrator would.
At the end every task must have succeeded, its events numbered from 1 without gap or repeat, and the summary must be
that of the first round.
"""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from backhaul.cli import faults
from backhaul.cli.demo.document import Document, read
from backhaul.cli.demo.show import KIND, show
from backhaul.cli.views import PlainView
from backhaul.client import AsyncClient, AsyncTask, Output
from backhaul.core.errors import BackhaulError
from backhaul_contracts.events import Event, EventType
from backhaul_contracts.tasks import Progress

COMPOSE = ("docker", "compose", "--project-directory", str(Path(__file__).parents[2]))
PLAN = ((0.1, "gateway", 0), (0.2, "ledger", 0), (0.4, "digest", 0), (0.5, "gateway", 1), (0.6, "ledger", 1))
"""How far the worker is with the document when a container of a service is killed. After `digest` it begins anew."""
ENDS = {EventType.SUCCEEDED, EventType.FAILED, EventType.CANCELLED, EventType.EXPIRED}
AT_A_TIME = 3
"""Short tasks beside the document: however slow the machine is, no more of them wait for the one worker."""
EVERY_SECONDS = 0.5
PATIENCE = "2m"

History = tuple[AsyncTask, list[Event]]

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
console = Console(highlight=False, emoji=False, markup=False, soft_wrap=True)


class DockerFailed(BackhaulError):
    """What Docker said when it did not do what it was asked for."""


def docker(*command: str) -> str:
    """What a command has printed."""
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode:
        told = finished.stderr.strip() or f"exit code {finished.returncode}"
        raise DockerFailed(f"`{' '.join(command)}` failed: {told}: look at `docker compose ps --all`")
    return finished.stdout.strip()


def address() -> str:
    """Where the proxy is published, whichever port the environment or a file `.env` gives it."""
    return f"http://{docker(*COMPOSE, 'port', 'proxy', '8080')}"


def api_key() -> str:
    return docker(*COMPOSE, "run", "--rm", "-T", "--no-deps", "--entrypoint", "cat", "cli", "/run/secrets/api_key")


def kill(service: str, number: int) -> str:
    """Kill one container of a service, and start it again; its name."""
    found = sorted(docker(*COMPOSE, "ps", "--all", "--quiet", service).split())
    if not found:
        raise DockerFailed(f"there is no container of {service}: `make up` starts them all")
    victim = found[number % len(found)]
    docker("docker", "kill", "--signal", "KILL", victim)
    docker("docker", "start", victim)
    return docker("docker", "inspect", "--format", "{{.Name}}", victim).strip("/")


async def harm(progress: asyncio.Queue[float]) -> list[str]:
    """Kill what is due as the work goes on; the names of what was killed."""
    killed: list[str] = []
    for moment, service, number in PLAN:
        while await progress.get() < moment:
            pass
        killed.append(await asyncio.to_thread(kill, service, number))
        console.print(f"--- {killed[-1]} was killed, and starts again", style="red")
    return killed


async def crowd(client: AsyncClient, enough: asyncio.Event) -> list[History]:
    """Short tasks, each followed to its end, whoever is down, until it is enough."""
    numbers, histories = itertools.count(), []

    async def one_after_another() -> None:
        while not enough.is_set():
            number = next(numbers)
            text = f"Ship {number} left the harbour. The sea was calm. Nobody was lost on the way."
            task = await client.submit(KIND, {"text": text}, key=f"demo-{os.getpid()}-{number}")
            histories.append((task, await follow(task)))
            await asyncio.sleep(EVERY_SECONDS)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(one_after_another())
    return histories


async def follow(task: AsyncTask, progress: asyncio.Queue[float] | None = None) -> list[Event]:
    """All events of a task; shown, if its progress is wanted."""
    seen: list[Event] = []
    output, view = Output(), PlainView(console)
    async with aclosing(task.events()) as events:
        async for event in events:
            seen.append(event)
            withdrawn = output.take(event)
            if progress is not None:
                view.take(event, withdrawn=withdrawn)
                if event.type == EventType.PROGRESS:
                    at = Progress.model_validate(event.data)
                    progress.put_nowait(at.done / (at.total or 1))
    await task.refresh()
    return seen


async def round_of_faults(document: Document, url: str, key: str) -> bool:
    """Whether nothing was lost."""
    progress: asyncio.Queue[float] = asyncio.Queue()
    enough = asyncio.Event()
    async with AsyncClient(url, key, patience=PATIENCE) as client:
        peaceful = await newest(client)
        task = await client.submit(KIND, {"text": document.text, "title": document.title})
        async with asyncio.TaskGroup() as group:
            others = group.create_task(crowd(client, enough))
            harmed = group.create_task(harm(progress))
            histories = [(task, await follow(task, progress))]
            progress.put_nowait(1)
            enough.set()
    histories += others.result()
    wrong = [fault for other, events in histories for fault in faults_of(other, events)]
    if _sentences(task) != _sentences(peaceful):
        wrong.append("the summary is another one than in peace")
    console.print(report(histories, harmed.result(), wrong))
    return not wrong


def faults_of(task: AsyncTask, events: list[Event]) -> Iterator[str]:
    numbers = [event.seq for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the events of {task.id} came as {numbers}"
    ends = [event.type for event in events if event.type in ENDS]
    if ends != [EventType.SUCCEEDED]:
        yield f"{task.id} ended as {ends}"


async def newest(client: AsyncClient) -> AsyncTask:
    """The last task of the kind: that of the first round."""
    async with aclosing(client.list(kind=KIND, limit=1)) as tasks:
        return await anext(tasks)


def _sentences(task: AsyncTask) -> Any:
    result = task.state.result
    return result and [sentence["text"] for sentence in result["sentences"]]


def report(histories: list[History], killed: list[str], wrong: list[str]) -> Table:
    table = Table.grid(padding=(0, 2))
    ended = sum(task.state.status == "succeeded" for task, _ in histories)
    again = sum(task.state.attempt > 1 for task, _ in histories)
    table.add_row("killed", ", ".join(killed))
    table.add_row("tasks", f"{len(histories)}, of which {ended} succeeded, {again} with more than one attempt")
    table.add_row("events", f"{sum(len(events) for _, events in histories)}, read over SSE through the proxy")
    table.add_row("faults", "\n".join(wrong) or "none: nothing was lost, repeated or changed")
    return table


@app.command()
def demo(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A text or Markdown file. Default: these docs.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The gateways. Default: the proxy of the containers.")] = None,
) -> None:
    """Summarise a document in the containers, in peace and while they are killed."""
    document, at, key = read(file or None), url or address(), api_key()
    os.environ["BACKHAUL_API_KEY"] = key
    console.rule("In peace")
    if code := asyncio.run(show(document, at)):
        raise typer.Exit(code)
    console.rule("While containers are killed")
    if not asyncio.run(round_of_faults(document, at, key)):
        raise typer.Exit(1)


if __name__ == "__main__":
    sys.exit(faults.run(app, sys.argv[1:], name="demo-compose"))
