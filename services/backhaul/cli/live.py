"""A running task on a terminal: its output as it comes, and a progress bar below."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from backhaul.cli import wording
from backhaul.cli.terminal import printable
from backhaul.cli.views import VOID, View, as_text
from backhaul_contracts.events import Event, EventType
from backhaul_contracts.tasks import Progress as TaskProgress


class LiveView(View):
    """Whole lines scroll away upwards; the line that is being written, and the bar, stay in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line = ""
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._row = self._bar.add_task("accepted", total=None, count="")
        self._live = Live(self.picture, console=console, refresh_per_second=12, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line:
            self._print(self._line)
            self._line = ""
        self._live.update(Text(""))
        self._live.stop()

    @property
    def picture(self) -> Group:
        """What stays in place."""
        return Group(Text(self._line), self._bar) if self._line else Group(self._bar)

    def take(self, event: Event, *, withdrawn: bool) -> None:
        if event.type == EventType.OUTPUT:
            self._output(as_text(event.data.get("delta")))
        elif event.type == EventType.PROGRESS:
            self._progress(TaskProgress.model_validate(event.data))
        elif sentence := wording.sentence(event):
            self._tell(event, printable(sentence), withdrawn=withdrawn)
        self._live.update(self.picture)

    def _output(self, text: str) -> None:
        """Print what will not change any more: all but the last row of the last line."""
        *rows, line = (self._line + printable(text)).split("\n")
        wrapped = Text(line).wrap(self._console, self._console.width)
        rows.extend(row.plain for row in wrapped[:-1])
        trailing_spaces = line[len(line.rstrip(" ")) :]  # wrapping drops them, but a word may follow
        self._line = wrapped[-1].plain.rstrip(" ") + trailing_spaces if line else ""
        for row in rows:
            self._print(row)

    def _progress(self, progress: TaskProgress) -> None:
        count = printable(wording.progress(progress))
        self._bar.update(self._row, completed=progress.done, total=progress.total, count=count)

    def _tell(self, event: Event, sentence: str, *, withdrawn: bool) -> None:
        if event.type in (EventType.LOG, EventType.RETRYING):
            if self._line:
                self._print(self._line)
                self._line = ""
            self._print(f"{sentence}; {VOID}" if withdrawn else sentence, style="dim")
        if event.type != EventType.LOG:
            self._bar.update(self._row, description=sentence)

    def _print(self, row: str, **style: Any) -> None:
        self._live.console.print(row, soft_wrap=False, **style)
