"""How the command tells what the doctor has found. What it finds is tested with real servers, in integration."""

import json

import pytest

from backhaul.core.findings import Finding, Severity, fault, note, ok, warning
from backhaul.wiring import Examination
from tests.unit.cli.conftest import Backhaul
from tests.unit.cli.test_roles import stand_in

FINE = ok("database", "PostgreSQL 17.1")
HINT = note("API", "open to every program on this machine")
WARNED = warning("clock", "is 3 s behind", "let an NTP service keep it")
BROKEN = fault("schema", "holds no tables: run `backhaul db upgrade`")


@pytest.mark.parametrize(
    ("findings", "code", "last"),
    [
        ((FINE, HINT), 0, "all is well"),
        ((FINE, WARNED), 3, "1 warning: what stands behind the colon mends it"),
        ((FINE, WARNED, BROKEN, BROKEN), 1, "2 faults, 1 warning: what stands behind the colon mends it"),
    ],
)
def test_the_worst_finding_decides_the_exit_code(
    backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch, findings: tuple[Finding, ...], code: int, last: str
) -> None:
    stand_in(monkeypatch, "backhaul.wiring.examine", Examination({}, findings))

    finished = backhaul("doctor")

    assert (finished.code, finished.err) == (code, "")
    assert finished.out.splitlines()[-1].strip() == last


def test_each_finding_is_one_line_with_its_remedy(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "backhaul.wiring.examine", Examination({"BACKHAUL_LEASE": "20s"}, (FINE, WARNED)))

    finished = backhaul("doctor")

    assert [line.split() for line in finished.out.splitlines()[:4]] == [
        ["BACKHAUL_LEASE", "20s"],
        [],
        ["ok", "database", "PostgreSQL", "17.1"],
        ["warning", "clock", "is", "3", "s", "behind:", *["let", "an", "NTP", "service", "keep", "it"]],
    ]


def test_programs_get_json(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "backhaul.wiring.examine", Examination({"BACKHAUL_LEASE": "20s"}, (WARNED,)))

    finished = backhaul("doctor", "--json")

    assert finished.code == 3
    assert json.loads(finished.out) == {
        "severity": "warning",
        "settings": {"BACKHAUL_LEASE": "20s"},
        "findings": [
            {"severity": "warning", "about": "clock", "fact": "is 3 s behind", "remedy": "let an NTP service keep it"}
        ],
    }


def test_settings_that_cannot_be_read_are_a_finding(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKHAUL_LEASE", "shortly")

    finished = backhaul("doctor", "--json")

    assert finished.code == 1
    assert [(each["severity"], each["about"]) for each in json.loads(finished.out)["findings"]] == [
        (Severity.FAULT, "settings")
    ]
    assert "BACKHAUL_LEASE" in finished.out


def test_a_role_that_does_not_exist_is_misuse(backhaul: Backhaul) -> None:
    finished = backhaul("doctor", "--role", "king")

    assert finished.code == 2
    assert finished.err == (
        "backhaul: there is no role 'king': choose from server, gateway, ledger, notifier, worker\n"
    )
