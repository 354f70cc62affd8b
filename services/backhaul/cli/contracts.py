"""Commands for the contracts: schemas, AsyncAPI and OpenAPI as files, and whether they keep what is promised."""

from pathlib import Path
from typing import Annotated

import typer

from backhaul.cli import inputs

group = typer.Typer(help="Schemas, AsyncAPI and OpenAPI as files, and whether they keep what is promised.")

_Services = Annotated[
    list[str] | None,
    typer.Option("--service", metavar="MODULE:SERVICE", help="Also the kinds of this service. May be repeated."),
]


def add_to(app: typer.Typer) -> None:
    """Add the group of this module."""
    app.add_typer(group, name="contracts", rich_help_panel="Deploy", no_args_is_help=True)


@group.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to.")] = Path("contracts"),
    service: _Services = None,
    force: Annotated[bool, typer.Option("--force", help="Also where it breaks what is there.")] = False,
) -> None:
    """Write the contracts of this version, unless they break what is there already."""
    from backhaul.wiring import broken_contracts, write_contracts

    targets = inputs.targets(service or [])
    if not force and (folder / "schemas").is_dir():
        _refuse(folder, broken_contracts(folder, targets), "keep the promise, or break it knowingly with --force")
    print(f"{write_contracts(folder, targets)} files are in {folder}")


@group.command()
def check(
    against: Annotated[Path, typer.Option(metavar="DIR", help="What was promised.")] = Path("contracts"),
    service: _Services = None,
    exact: Annotated[bool, typer.Option("--exact", help="Refuse every difference, as for generated files.")] = False,
) -> None:
    """Name what breaks the contracts that were stored before; exit code 1 if anything does."""
    from backhaul.wiring import broken_contracts, drifted_contracts

    targets = inputs.targets(service or [])
    _refuse(against, broken_contracts(against, targets), "add an optional field, or a new message type or version")
    if exact:
        _refuse(against, drifted_contracts(against, targets), "run `backhaul contracts export`")
    print(f"the contracts in {against} are kept")


def _refuse(folder: Path, faults: list[str], remedy: str) -> None:
    from backhaul.cli.faults import say

    for fault in faults:
        say(f"{folder}: {fault}: {remedy}")
    if faults:
        raise typer.Exit(1)
