"""Commands that prepare a deployment: the schema of the database, the topology on the broker."""

from pathlib import Path
from typing import Annotated

import typer

from backhaul.cli.session import settings

_PANEL = "Deploy"

db = typer.Typer(help="The schema of the database.")
topology = typer.Typer(help="Exchanges and queues on RabbitMQ.")


def add_to(app: typer.Typer) -> None:
    """Add the groups of this module."""
    app.add_typer(db, name="db", rich_help_panel=_PANEL, no_args_is_help=False)
    app.add_typer(topology, name="topology", rich_help_panel=_PANEL, no_args_is_help=False)


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema to what this version needs."""
    from backhaul.wiring import upgrade_database

    upgrade_database(settings())
    print("the schema of the database is up to date")


@db.command("check")
def db_check() -> None:
    """Say whether the schema is what this version needs; exit code 1 if not."""
    from backhaul.core.errors import ConfigurationError
    from backhaul.wiring import check_database

    fault = check_database(settings())
    if fault is not None:
        raise ConfigurationError(fault)
    print("the schema of the database is up to date")


@topology.command("apply")
def topology_apply() -> None:
    """Declare everything that the platform needs; clear away what a larger number of shards has left."""
    from backhaul.cli.faults import say
    from backhaul.wiring import apply_topology

    for misfit in apply_topology(settings()):
        say(f"{misfit.thing} {misfit.fact}: {misfit.remedy}")
    print("the topology is in place")


@topology.command("export")
def topology_export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files are written.")] = Path(
        "deploy/rabbitmq"
    ),
    service: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:QUEUE,…]", help="A service, for a user of its workers; may be repeated."),
    ] = None,
    vhost: Annotated[str, typer.Option(help="The vhost that it is all in.")] = "/",
    rabbitmq: Annotated[str, typer.Option(metavar="VERSION", help="What it is for: 3.10, 4.1, …")] = "3.10",
) -> None:
    """Write definitions files for RabbitMQ: all that is declared with its policies, and a user for each role."""
    from backhaul.wiring import write_definitions

    services = dict(map(_service, service or ()))
    shards = settings().ledger_shards
    for path in write_definitions(folder, services, shards=shards, release=_release(rabbitmq), vhost=vhost):
        print(path)


def _service(text: str) -> tuple[str, list[str]]:
    name, _, queues = text.partition(":")
    return name, queues.split(",") if queues else [name]


def _release(text: str) -> tuple[int, int]:
    from backhaul.cli.faults import Misuse

    parts = text.split(".")
    if len(parts) < 2 or not all(part.isdigit() for part in parts):
        raise Misuse(f"{text!r} is no version of RabbitMQ: write it as 3.10 or 4.1")
    return int(parts[0]), int(parts[1])


@topology.command("check")
def topology_check() -> None:
    """Name what is missing, differs or is left over; exit code 1 if anything is."""
    from backhaul.cli.faults import say
    from backhaul.wiring import check_topology

    configured = settings()
    misfits = check_topology(configured)
    for misfit in misfits:
        say(f"{misfit.thing} {misfit.fact}: {misfit.remedy}")
    unseen = configured.rabbitmq_management_url is None
    if unseen:
        say("bindings and policies were not looked at: set BACKHAUL_RABBITMQ_MANAGEMENT_URL", style="")
    if misfits:
        raise typer.Exit(1)
    print("the topology is in place")
