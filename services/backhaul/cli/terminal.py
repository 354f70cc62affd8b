"""Where people and programs read: colours and bars on a terminal only, and never with `NO_COLOR`."""

import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console, RenderableType

M = TypeVar("M", bound="BaseModel")

# All control characters but line feed and tab: what a task says must not move the cursor or rename the window.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_ENDLESS = 100_000


def output() -> "Console":
    """The standard output. Lines are as long as they need to be where no terminal cuts them."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, markup=False, **_width(sys.stdout))


def notes() -> "Console":
    """The error output: what accompanies a result and is none."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, markup=False, soft_wrap=True, **_width(sys.stderr))


def show_list(
    found: Sequence[M],
    table: Callable[[Sequence[M]], "RenderableType"],
    nothing: str,
    *,
    as_json: bool,
    without: set[str] | None = None,
) -> None:
    """A JSON array (`without` these fields); else a table, or a line for `nothing`."""
    if as_json:
        print(f"[{','.join(each.model_dump_json(exclude=without) for each in found)}]")
    else:
        output().print(table(found) if found else nothing)


def printable(text: object) -> str:
    """Text of others, safe to show on a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def _width(file: Any) -> dict[str, Any]:
    return {} if file.isatty() else {"width": _ENDLESS}
