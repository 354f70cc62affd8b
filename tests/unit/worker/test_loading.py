"""Finding services by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backhaul.core.errors import ConfigurationError
from backhaul.worker import load_service, load_services

GOOD = """
from backhaul import Service
service = Service("loaded", slots=3)
@service.handler("loaded.it")
async def handle(nothing: None) -> None: ...
empty = Service("empty")
number = 7
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with a few modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "good_module.py").write_text(GOOD)
    (tmp_path / "needy_module.py").write_text("import not_there_at_all\n")
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    yield tmp_path
    for name in ("good_module", "needy_module", "broken_module"):
        sys.modules.pop(name, None)


def test_a_service_is_found_in_the_working_folder() -> None:
    assert load_service("good_module:service").name == "loaded"


def test_slots_can_be_given_from_outside() -> None:
    (service,) = load_services(["good_module:service"], slots=50)

    assert service.slots == 50
    assert list(service.handlers) == ["loaded.it"]
    assert load_service("good_module:service").slots == 3


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("good_module", "write MODULE:SERVICE"),
        (":service", "write MODULE:SERVICE"),
        ("missing_module:service", "there is no module missing_module"),
        ("missing.module:service", "there is no module missing"),
        ("needy_module:service", "it imports not_there_at_all, which is not installed"),
        ("broken_module:service", "importing broken_module raised ZeroDivisionError"),
        ("good_module:servce", "has no servce: name a Service, such as good_module:service"),
        ("good_module:number", "is of type int: name a backhaul.Service, such as good_module:service"),
        ("good_module:empty", "service empty has no handler"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(target: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_service(target)

    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_service_is_named_once() -> None:
    with pytest.raises(ConfigurationError, match="loaded is named twice"):
        load_services(["good_module:service", "good_module:service"])
