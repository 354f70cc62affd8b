import subprocess
import sys
from importlib import metadata

import pytest

from tests.support.ports import free_port
from tests.unit.cli.conftest import Backhaul


def test_without_a_command_the_commands_are_listed(backhaul: Backhaul) -> None:
    finished = backhaul()

    assert finished.code == 0
    for command in ("dev", "server", "gateway", "ledger", "worker", "submit", "tasks", "show", "watch", "new"):
        assert f" {command} " in finished.out
    for command in ("cancel", "retry", "replay", "kinds", "workers", "db", "topology"):
        assert f" {command} " in finished.out


def test_it_says_which_version_is_installed(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", {"backhaul": "1.2.3"}.__getitem__)

    finished = backhaul("--version")

    assert (finished.code, finished.out) == (0, "backhaul 1.2.3\n")


def test_help_loads_nothing_that_a_command_may_need() -> None:
    script = (
        "import sys; from backhaul.cli.main import run; code = run(['submit', '--help']); "
        "heavy = {'httpx', 'fastapi', 'sqlalchemy', 'aio_pika', 'uvicorn'} & set(sys.modules); "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )

    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)

    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["submit"], "missing argument 'KIND': see `backhaul submit --help`"),
        (["worker"], "missing argument 'MODULE:SERVICE': see `backhaul worker --help`"),
        (["db"], "missing command: see `backhaul db --help`"),
        (["submt"], "no such command 'submt'. Did you mean 'submit'?: see `backhaul --help`"),
        (["tasks", "--stauts", "x"], "no such option: --stauts"),
        (["submit", "a.b", "--priority", "101"], "invalid value for '--priority'"),
        (["submit", "a.b", "{text: 1}"], "the input is not JSON (key must be a string at line 1 column 2): quote it"),
        (["submit", "a.b", "@nowhere.json"], "the file nowhere.json cannot be read (no such file or directory): name"),
        (["submit", "a.b", "--metadata", "who"], "--metadata 'who' is no label: write name=value"),
        (["tasks", "--status", "finished"], "--status 'finished' is no status: give one of scheduled, queued"),
        (["dev", "digest.service"], "'digest.service' names no service: write MODULE:SERVICE"),
        (["worker", "digest.service:"], "'digest.service:' names no service: write MODULE:SERVICE"),
        (["tasks", "--metadata", "=x"], "--metadata '=x' is no label: write name=value"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(backhaul: Backhaul, arguments: list[str], sentence: str) -> None:
    finished = backhaul(*arguments)

    assert finished.code == 2
    assert finished.err.startswith(f"backhaul: {sentence}")
    assert finished.err.count("\n") == 1
    assert finished.out == ""


def test_where_nothing_listens_the_url_is_named_and_how_to_start_it(backhaul: Backhaul) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    finished = backhaul("tasks", "--url", url)

    assert finished.code == 1
    assert finished.err == (
        f"backhaul: no gateway answers at {url} (connection refused): "
        "start one with `backhaul dev`, or set BACKHAUL_URL to where it is\n"
    )


def test_a_setting_that_cannot_work_is_named(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKHAUL_MAX_BODY", "many")

    finished = backhaul("tasks")

    assert finished.code == 1
    assert finished.err == (
        "backhaul: BACKHAUL_MAX_BODY: a size is a number of bytes or a text like '64 KiB' or '1 MiB'\n"
    )


def test_a_url_that_is_none_is_told_with_an_example(backhaul: Backhaul) -> None:
    finished = backhaul("kinds", "--url", "localhost:8080")

    assert finished.code == 1
    assert "write it like http://127.0.0.1:8080" in finished.err
