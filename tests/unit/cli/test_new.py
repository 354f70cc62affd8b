"""`backhaul new`: what it makes works as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Backhaul


def test_a_new_service_passes_its_own_tests_and_can_be_served(
    backhaul: Backhaul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, package = "weather-map", "weather_map"

    finished = backhaul("new", name)
    script = f"from backhaul.worker import load_service; print(load_service('{package}.service:service'))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path / name,
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        for arguments in (["-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"], ["-c", script])
    ]

    assert (finished.code, finished.err) == (0, "")
    assert f"backhaul dev {package}.service:service" in finished.out
    assert "2 passed" in runs[0].stdout, runs[0].stdout + runs[0].stderr
    assert runs[1].stdout == f"<Service {name} 0.1.0: {name}.greet>\n"
    assert f"COPY {package} /app/{package}" in (tmp_path / name / "Dockerfile").read_text()
    assert "FROM ${BACKHAUL}" in (tmp_path / name / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Weather", "'Weather' cannot name a service: use words of lower case letters and digits"),
        ("../elsewhere", "'../elsewhere' cannot name a service"),
        ("class", "'class' cannot name a service"),
        ("json", "there is a Python module json already, which would hide the service: choose another name"),
        ("taken", "the folder taken cannot be made (file exists): choose another name"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_sentence_and_changes_nothing(
    backhaul: Backhaul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()

    finished = backhaul("new", name)

    assert finished.code == 2
    assert finished.err.startswith(f"backhaul: {sentence}")
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]
