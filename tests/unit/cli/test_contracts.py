"""`backhaul contracts`: what is written, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Backhaul

SERVICE = """
from pydantic import BaseModel
from backhaul import Service

service = Service("shop")

class Order(BaseModel):
    item: str
    {field}

@service.handler("shop.order"{options})
async def order(order: Order) -> {result}:
    ...
"""


def change(path: Path, step: str, name: str, value: Any) -> None:
    schema = json.loads(path.read_text())
    schema[step][name] = value
    path.write_text(json.dumps(schema))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def write(field: str = "", options: str = "", result: str = "int") -> str:
        monkeypatch.delitem(__import__("sys").modules, "shop_service", raising=False)
        (tmp_path / "shop_service.py").write_text(SERVICE.format(field=field, options=options, result=result))
        return "shop_service:service"

    return write


def test_contracts_are_written_and_kept(backhaul: Backhaul, tmp_path: Path) -> None:
    written = backhaul("contracts", "export", str(tmp_path))
    kept = backhaul("contracts", "check", "--against", str(tmp_path), "--exact")

    assert (written.code, kept.code) == (0, 0), written.err + kept.err
    assert json.loads((tmp_path / "openapi.json").read_text())["openapi"].startswith("3.1")
    assert (tmp_path / "asyncapi.yaml").read_text().startswith("asyncapi: 3.0.0\n")
    assert "&id" not in (tmp_path / "asyncapi.yaml").read_text()
    assert (tmp_path / "schemas" / "Task.json").exists()


def test_what_was_promised_and_is_gone_is_refused(backhaul: Backhaul, tmp_path: Path) -> None:
    backhaul("contracts", "export", str(tmp_path))
    change(tmp_path / "schemas" / "SubmitTask.json", "properties", "colour", {"type": "string"})
    change(tmp_path / "schemas" / "Task.json", "properties", "seq", {"type": "integer", "maximum": 9})
    (tmp_path / "schemas" / "Gone.json").write_text("{}")

    check = backhaul("contracts", "check", "--against", str(tmp_path))
    export = backhaul("contracts", "export", str(tmp_path))
    forced = backhaul("contracts", "export", str(tmp_path), "--force")

    assert (check.code, export.code, forced.code) == (1, 1, 0)
    assert "Gone is gone" in check.err
    assert "SubmitTask /colour: string → nothing" in check.err
    assert "Task /seq: maximum 9 → no maximum" in check.err
    assert not (tmp_path / "schemas" / "Gone.json").exists()


def test_a_difference_that_breaks_nothing_is_refused_only_if_asked(backhaul: Backhaul, tmp_path: Path) -> None:
    backhaul("contracts", "export", str(tmp_path))
    (tmp_path / "asyncapi.yaml").write_text("asyncapi: 3.0.0\n")

    check = backhaul("contracts", "check", "--against", str(tmp_path))
    exact = backhaul("contracts", "check", "--against", str(tmp_path), "--exact")

    assert (check.code, exact.code) == (0, 1)
    assert exact.err == f"backhaul: {tmp_path}: asyncapi.yaml: run `backhaul contracts export`\n"


def test_the_kinds_of_a_service_are_held_to_what_they_promised(
    backhaul: Backhaul, service: Any, tmp_path: Path
) -> None:
    folder = str(tmp_path / "contracts")
    first = backhaul("contracts", "export", folder, "--service", service())

    wider = backhaul("contracts", "check", "--against", folder, "--service", service(field="note: str = ''"))
    broken = backhaul("contracts", "check", "--against", folder, "--service", service(field="note: str"))
    renewed = backhaul(
        "contracts", "check", "--against", folder, "--service", service(field="note: str", options=", version='2'")
    )

    assert (first.code, wider.code, broken.code, renewed.code) == (0, 0, 1, 0)
    assert "shop.order@1 input /note: may be left out → must be there" in broken.err


def test_with_nothing_to_compare_the_remedy_is_told(backhaul: Backhaul, tmp_path: Path) -> None:
    finished = backhaul("contracts", "check", "--against", str(tmp_path))

    assert finished.code == 1
    assert "holds no contracts to compare with: write them with `contracts export`" in finished.err
