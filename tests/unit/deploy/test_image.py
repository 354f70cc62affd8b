"""The image: built from locks that fit the project, with every example in it."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
EXAMPLES = ("digest", "linkcheck", "report", "thumbnail")
STALE = "run `make lock`"


def pinned(lock: str) -> dict[str, list[Requirement]]:
    """What a lock installs; a name may stand there once for each range of Pythons."""
    found: dict[str, list[Requirement]] = {}
    for entry in entries(lock):
        requirement = Requirement(entry.partition(" --hash=")[0])
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def entries(lock: str) -> Iterator[str]:
    text = (DOCKER / lock).read_text().replace("\\\n", " ")
    yield from (re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("build.lock", PROJECT["build-system"]["requires"]),
        ("platform.lock", [*PROJECT["project"]["dependencies"], *EXTRAS["otel"]]),
        ("examples.lock", [line for extra in EXAMPLES for line in EXTRAS[extra]]),
    ],
)
def test_a_lock_has_all_that_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    locked = pinned(lock)

    for requirement in map(Requirement, wanted):
        pins = locked.get(canonicalize_name(requirement.name))
        assert pins, f"{requirement.name} is not in {lock}: {STALE}"
        for pin in pins:
            (version,) = pin.specifier
            assert requirement.specifier.contains(version.version), f"{lock} has {pin}, wanted {requirement}: {STALE}"


@pytest.mark.parametrize("lock", ["build.lock", "platform.lock", "examples.lock"])
def test_whatever_is_installed_is_known_by_its_hash(lock: str) -> None:
    for entry in entries(lock):
        assert re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry)


def test_the_examples_stand_on_the_very_libraries_of_the_platform() -> None:
    platform, examples = pinned("platform.lock"), pinned("examples.lock")

    assert {name: examples.get(name) for name in platform} == platform


def test_every_example_is_in_the_image() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    services = {path.parent.name for path in (ROOT / "services").glob("*/service.py")}

    assert services == set(EXAMPLES)
    for name in services:
        assert f"COPY services/{name} {name}\n" in dockerfile


def test_nothing_runs_as_root() -> None:
    stages = re.split(r"^FROM .*$", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    users = [re.findall(r"^USER (\w+)$", stage, flags=re.MULTILINE) for stage in stages]

    assert [found[-1] for found in users if found] == ["backhaul", "backhaul"]
