"""The demo: start the platform, submit the document over HTTP, show what is pushed back."""

import tempfile
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from backhaul.cli import wording
from backhaul.cli.demo.document import Document
from backhaul.cli.demo.timeline import Timeline
from backhaul.cli.live import LiveView
from backhaul.cli.outcome import exit_code
from backhaul.cli.session import PATIENT, gateway
from backhaul.cli.terminal import printable
from backhaul.cli.views import PlainView, View
from backhaul.client import AsyncClient, AsyncTask, Output
from backhaul.client.errors import not_succeeded
from backhaul.embedded import embedded
from backhaul.worker import load_services
from backhaul_contracts.tasks import Status, Task

SERVICE = "digest.service:service"
KIND = "digest.summarise"

_LOG_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Stage:
    """The platform that is shown."""

    client: AsyncClient
    described: str
    needs_key: bool

    def stream(self, task: Task) -> str:
        """Where everybody may follow the task, as a word for a shell."""
        link = f"'{task.links.stream}&after=0'" if self.needs_key else f"{task.links.events}?after=0"
        return f"{self.client.url}{link}"


async def show(document: Document, url: str | None = None) -> int:
    """The exit code of the task, on the platform at `url`, else on one of its own, which is gone afterwards."""
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, emoji=False, markup=False, width=_LOG_WIDTH)
    if url is not None:
        async with gateway(url, patience=PATIENT) as client:
            return await _perform(document, Stage(client, "as it is deployed", needs_key=True), console)
    services = load_services([SERVICE])
    with tempfile.TemporaryDirectory(prefix="backhaul-demo-") as folder:
        async with embedded(services, data=folder) as running, AsyncClient(running.url) as client:
            for worker in running.platform.workers:
                await worker.announced.wait()
            stage = Stage(client, f"SQLite in a temporary folder, one worker for {KIND}", needs_key=False)
            return await _perform(document, stage, console)


async def _perform(document: Document, stage: Stage, console: Console) -> int:
    timeline = Timeline()
    handle = await stage.client.submit(KIND, {"text": document.text, "title": document.title})
    timeline.accepted()
    console.print(_opening(document, stage, handle.state), "")
    await _attend(handle, timeline, _view(console))
    if handle.state.status is not Status.SUCCEEDED:
        raise not_succeeded(handle.state)
    console.print("", _summary(handle.state.result), _timings(timeline.steps()))
    return exit_code(handle.state)


async def _attend(handle: AsyncTask, timeline: Timeline, view: View) -> None:
    shown = Output()
    with view:
        async with aclosing(handle.events()) as events:
            async for event in events:
                timeline.take(event)
                view.take(event, withdrawn=shown.take(event))
    await handle.refresh()


def _view(console: Console) -> View:
    return LiveView(console) if console.is_terminal else PlainView(console)


def _opening(document: Document, stage: Stage, task: Task) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("document", f"{printable(document.name)}, {wording.size(document.bytes)}"),
        ("platform", f"{stage.client.url}, {stage.described}"),
        ("task", task.id),
        ("to see it", f"curl -N {stage.stream(task)}"),
    ):
        facts.add_row(Text(name, style="bold"), Text(value, overflow="fold"))
    return facts


def _summary(result: dict[str, Any]) -> RenderableType:
    heading = f"{len(result['sentences'])} of {result['total']} sentences, chosen by {result['model']}"
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("no.", justify="right")
    table.add_column("score", justify="right")
    table.add_column("sentence")
    for sentence in result["sentences"]:
        table.add_row(str(sentence["position"]), f"{sentence['score']:.2f}", printable(sentence["text"]))
    return table


def _timings(steps: Sequence[tuple[str, timedelta]]) -> RenderableType:
    table = Table(title="Where the time went", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step")
    table.add_column("took", justify="right")
    for name, took in steps:
        table.add_row(name, wording.length(took))
    return table
