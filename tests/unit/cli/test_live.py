import io
import re
from typing import Any

from rich.console import Console

from backhaul.cli.live import LiveView
from backhaul_contracts.events import Event
from tests.unit.client.records import event

_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def show(*events: dict[str, Any], width: int = 40) -> str:
    """All that was ever written to a terminal of this width."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=20, highlight=False, markup=False)
    with LiveView(console) as view:
        for each in events:
            view.take(Event.model_validate(each), withdrawn=each["type"] == "task.retrying")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(written: str) -> list[str]:
    """The rows that stay: those of the bar are drawn anew, and begin with its spinner."""
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in _SEQUENCES.sub("", written).split("\n")]
    return [line for line in lines if line and not re.match(r"[⠀-⣿]", line)]


def test_whole_lines_of_output_stay_on_the_terminal() -> None:
    written = show(event(1, delta="Hel"), event(2, delta="lo\nwor"), event(3, delta="ld"))

    assert [row for row in rows(written) if row in ("Hello", "world")] == ["Hello", "world"]


def test_a_long_line_is_broken_at_words_and_loses_no_space() -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

    written = show(*(event(seq, delta=f"{word} ") for seq, word in enumerate(words, 1)), width=12)

    assert " ".join(dict.fromkeys(word for row in rows(written) for word in row.split())) == " ".join(words)


def test_progress_and_status_are_in_the_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with LiveView(console) as view:
        for each in (event(1, "task.started"), event(2, "task.progress", done=4, total=10, note="embedding")):
            view.take(Event.model_validate(each), withdrawn=False)

    with console.capture() as captured:
        console.print(view.picture)

    assert "started, attempt 1" in captured.get()
    assert "4/10 embedding" in captured.get()


def test_a_retry_tells_that_its_output_is_void() -> None:
    written = show(event(1, delta="half a li"), event(2, "task.retrying", keep_through=0), width=100)

    assert "half a li" in rows(written)
    assert "attempt 1 was handed back, the next at once; what it wrote behind its last checkpoint is void" in written


def test_control_characters_of_the_output_do_nothing() -> None:
    written = show(event(1, delta="\x1b[2J\x07boo\n"))

    assert "\x1b[2J" not in written
    assert "\ufffd[2J\ufffdboo" in written
