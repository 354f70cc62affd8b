"""`backhaul`: the commands, and what becomes of their errors.

Commands import what they need when they run: `backhaul --help` answers at once.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from backhaul.cli import (
    contracts,
    deadletters,
    doctor,
    faults,
    keys,
    listings,
    queues,
    roles,
    starting,
    tasks,
    upkeep,
    webhooks,
)

app = typer.Typer(
    name="backhaul",
    help="Long work behind a fast HTTP API.",
    epilog="Start with: backhaul dev",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def show_help(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version that is installed.")] = False,
) -> None:
    if version:
        print(f"backhaul {_installed()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


roles.add_to(app)
starting.add_to(app)
tasks.add_to(app)
listings.add_to(app)
queues.add_to(app)
deadletters.add_to(app)
webhooks.add_to(app)
upkeep.add_to(app)
contracts.add_to(app)
keys.add_to(app)
doctor.add_to(app)


def _installed() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("backhaul")
    except PackageNotFoundError:
        return "unknown, since it runs without being installed"


def main() -> None:
    """The entry of the script `backhaul`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command."""
    return faults.run(app, arguments, name="backhaul")
