"""`backhaul doctor`: what is configured, what is there, what does not fit, and what to do about it."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backhaul.cli.faults import Misuse
from backhaul.cli.options import AsJson
from backhaul.cli.session import settings

if TYPE_CHECKING:
    from rich.table import Table

    from backhaul.core.findings import Finding, Severity
    from backhaul.wiring import Examination

_WARNED = 3

Role = Annotated[
    str | None,
    typer.Option(help="Look at what this role needs alone: server, gateway, ledger, notifier or worker."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(rich_help_panel="Deploy")(doctor)


def doctor(role: Role = None, as_json: AsJson = False) -> None:
    """Look at everything, and name what does not fit. Exit code 1 for a fault, 3 for warnings alone."""
    from backhaul.core.findings import Severity

    examination = _examined(role)
    if as_json:
        print(json.dumps(_facts(examination), ensure_ascii=False))
    else:
        _show(examination)
    code = {Severity.FAULT: 1, Severity.WARNING: _WARNED}.get(examination.severity, 0)
    if code:
        raise typer.Exit(code)


def _examined(role: str | None) -> "Examination":
    """Settings that cannot be read are a finding like any other."""
    from backhaul.core.errors import ConfigurationError
    from backhaul.core.findings import fault
    from backhaul.wiring import Examination, examine
    from backhaul.wiring.doctor.examination import ROLES

    if role is not None and role not in ROLES:
        raise Misuse(f"there is no role {role!r}: choose from {', '.join(ROLES)}")
    try:
        found = settings()
    except ConfigurationError as error:
        return Examination({}, (fault("settings", str(error), "correct it, then run this again"),))
    return examine(found, role, names=os.environ)


def _show(examination: "Examination") -> None:
    from backhaul.cli.terminal import output

    console = output()
    if examination.settings:
        console.print(_settings(examination.settings))
        console.print()
    console.print(_findings(examination.findings))
    console.print()
    console.print(_summary(examination.findings), style=_STYLES.get(examination.severity, ""))


def _settings(shown: Mapping[str, str]) -> "Table":
    from rich.table import Table

    from backhaul.cli.terminal import printable

    table = Table.grid(padding=(0, 2))
    for name, value in shown.items():
        table.add_row(name, printable(value))
    return table


def _findings(findings: "tuple[Finding, ...]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from backhaul.cli.terminal import printable

    table = Table.grid(padding=(0, 2))
    for finding in findings:
        style = _STYLES.get(finding.severity, "")
        table.add_row(Text(finding.severity, style=style), finding.about, printable(_sentence(finding)))
    return table


def _sentence(finding: "Finding") -> str:
    told = finding.fact if finding.remedy is None else f"{finding.fact}: {finding.remedy}"
    return " ".join(told.split())


def _summary(findings: "tuple[Finding, ...]") -> str:
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in ("fault", "warning")}
    told = [f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items() if count]
    return f"{', '.join(told)}: what stands behind the colon mends it" if told else "all is well"


def _facts(examination: "Examination") -> dict[str, Any]:
    return {
        "severity": examination.severity,
        "settings": dict(examination.settings),
        "findings": [
            {"severity": each.severity, "about": each.about, "fact": each.fact, "remedy": each.remedy}
            for each in examination.findings
        ],
    }


_STYLES: "dict[Severity | str, str]" = {"ok": "green", "note": "cyan", "warning": "yellow", "fault": "bold red"}
