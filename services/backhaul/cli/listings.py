"""Commands for what the platform consists of: kinds, and the workers that do them."""

import asyncio
from typing import Annotated

import typer

from backhaul.cli.options import AsJson, Url

_PANEL = "Platform"

group = typer.Typer(help="Who does the work: list workers, have one leave.")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(rich_help_panel=_PANEL)(kinds)
    app.add_typer(group, name="workers", rich_help_panel=_PANEL, no_args_is_help=False)


def kinds(url: Url = None, as_json: AsJson = False) -> None:
    """What can be submitted; --json tells the schemas of inputs and results too."""
    asyncio.run(_kinds(url, as_json=as_json))


@group.callback(invoke_without_command=True)
def workers(context: typer.Context, url: Url = None, as_json: AsJson = False) -> None:
    """Who does the work: list workers, have one leave."""
    if context.invoked_subcommand is None:
        asyncio.run(_workers(url, as_json=as_json))


@group.command()
def drain(
    worker_id: Annotated[str, typer.Argument(metavar="ID", help="A worker: `backhaul workers` lists them.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a worker leave. It finishes what it can within its grace; the rest goes on elsewhere."""
    asyncio.run(_drain(url, worker_id, as_json=as_json))


async def _kinds(url: str | None, *, as_json: bool) -> None:
    from backhaul.cli import tables, wording
    from backhaul.cli.faults import say
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import show_list

    async with gateway(url) as client:
        found = await client.kinds()
    show_list(found, tables.kinds, "no service has announced a kind: start a worker", as_json=as_json)
    for kind in () if as_json else found:
        if kind.refused is not None:
            say(wording.refusal(kind, kind.refused))


async def _workers(url: str | None, *, as_json: bool) -> None:
    from backhaul.cli import tables
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import show_list

    async with gateway(url) as client:
        found = await client.workers()
    show_list(found, tables.workers, "no worker is there: start one with `backhaul worker`", as_json=as_json)


async def _drain(url: str | None, worker_id: str, *, as_json: bool) -> None:
    from backhaul.cli.session import gateway

    async with gateway(url) as client:
        worker = await client.drain_worker(worker_id)
    print(worker.model_dump_json(indent=2) if as_json else f"worker {worker.id} is {worker.state}")
