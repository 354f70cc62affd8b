"""What every test of a command may ask for."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from backhaul.cli.main import run


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


Backhaul = Callable[..., Finished]


@pytest.fixture
def backhaul(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Backhaul:
    """Runs one command in this process, as in a pipe."""
    monkeypatch.delenv("BACKHAUL_URL", raising=False)
    monkeypatch.delenv("BACKHAUL_API_KEY", raising=False)

    def command(*arguments: str) -> Finished:
        code = run(arguments)
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return command
