"""How a task is shown while it runs: in a pipe or a log, and to programs. For people on a terminal: `live`."""

import json
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from backhaul.cli import wording
from backhaul.cli.terminal import notes as error_output
from backhaul.cli.terminal import printable
from backhaul_contracts.events import Event, EventType
from backhaul_contracts.tasks import Progress

if TYPE_CHECKING:
    from rich.console import Console

VOID = "what it wrote behind its last checkpoint is void"


class View(AbstractContextManager["View"], Protocol):
    """Takes the events of one task, in order. `withdrawn`: the event makes output void that was shown before."""

    def take(self, event: Event, *, withdrawn: bool) -> None: ...


class JsonView(View):
    """One event a line."""

    def __exit__(self, *error: object) -> None:
        pass

    def take(self, event: Event, *, withdrawn: bool) -> None:
        print(event.model_dump_json(), flush=True)


class PlainView(View):
    """The output, as it comes, on the standard output; all that accompanies it on `notes`, or the error output."""

    def __init__(self, notes: "Console | None" = None) -> None:
        self._notes = notes or error_output()
        self._inside_line = False
        self._tenths = 0
        self._note: str | None = None

    def __exit__(self, *error: object) -> None:
        if self._inside_line:
            print(flush=True)

    def take(self, event: Event, *, withdrawn: bool) -> None:
        if event.type == EventType.OUTPUT:
            self._output(event.data.get("delta"))
        elif event.type == EventType.PROGRESS:
            self._progress(Progress.model_validate(event.data))
        elif sentence := wording.sentence(event):
            self._notes.print(printable(f"{sentence}; {VOID}" if withdrawn else sentence))

    def _output(self, delta: Any) -> None:
        text = as_text(delta)
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._inside_line = not text.endswith("\n")

    def _progress(self, progress: Progress) -> None:
        """A line for each tenth of the way and each new note: a log is no place for a bar."""
        tenths = int(10 * progress.done / progress.total) if progress.total else 0
        if tenths != self._tenths or progress.note != self._note:
            self._tenths, self._note = tenths, progress.note
            self._notes.print(printable(wording.progress(progress)))


def as_text(delta: Any) -> str:
    """A delta as it is printed: text as it is, other JSON on a line of its own."""
    return delta if isinstance(delta, str) else json.dumps(delta, ensure_ascii=False) + "\n"
