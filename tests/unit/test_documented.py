"""Nothing can be set, typed or answered that the documents do not name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from backhaul.cli.main import app
from backhaul.settings import Settings
from backhaul_contracts.deadletters import DeadLetter
from backhaul_contracts.events import EventType
from backhaul_contracts.failures import Failure, FailureCode
from backhaul_contracts.listings import KindInfo, QueueInfo, WorkerInfo
from backhaul_contracts.problems import Problem, ProblemCode
from backhaul_contracts.submissions import SubmitTask
from backhaul_contracts.tasks import Task

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]


def document(name: str) -> str:
    return (DOCS / name).read_text()


def commands(command: Any = None, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something by itself, as it is typed."""
    command = command or typer.main.get_command(app)
    members = getattr(command, "commands", {})
    if path and (not members or command.invoke_without_command):
        yield " ".join(path), command
    for name, member in members.items():
        yield from commands(member, *path, name)


def anchors(page: Path) -> set[str]:
    """Headings as links name them."""
    headings = [line.lstrip("# ") for line in page.read_text().splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_setting_is_named_for_operators_or_for_who_types(name: str) -> None:
    assert f"`BACKHAUL_{name.upper()}`" in document("production.md") + document("cli.md")


@pytest.mark.parametrize("code", [*ProblemCode, *FailureCode])
def test_a_code_of_a_problem_or_a_failure_is_in_the_http_api(code: str) -> None:
    assert re.search(rf"\b{code}\b", document("http.md"))


@pytest.mark.parametrize("field", SubmitTask.model_fields)
def test_a_field_of_a_submission_is_explained(field: str) -> None:
    assert re.search(rf"^\|[^|]*`{field}`", document("http.md"), re.MULTILINE)


@pytest.mark.parametrize("shown", [Task, KindInfo, WorkerInfo, QueueInfo, DeadLetter, Problem, Failure])
def test_what_is_shown_is_written_down_with_every_field(shown: type[BaseModel]) -> None:
    assert set(shown.model_fields) <= set(re.findall(r"\w+", document("http.md")))


def test_every_event_is_in_the_http_api() -> None:
    listed = document("http.md").partition("- Types: `task.")[2].partition("`.")[0]

    assert re.split(r"\s+\.", listed) == [type_.removeprefix("task.") for type_ in EventType]


@pytest.mark.parametrize("command", [name for name, _ in commands()])
def test_a_command_has_its_place_in_the_document_of_the_command_line(command: str) -> None:
    headings = " ".join(line for line in document("cli.md").splitlines() if line.startswith("###"))

    assert re.search(rf"`(backhaul )?{command}\b", headings)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (name, option)
        for name, command in commands()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    ],
)
def test_an_option_is_told_in_the_document_of_the_command_line(command: str, option: str) -> None:
    assert f"`{option}" in document("cli.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file_and_a_heading_in_it(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]

    for path, _, heading in (link.partition("#") for link in links):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not heading or heading in anchors(target), f"{path}#{heading}"
