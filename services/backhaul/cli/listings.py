"""Commands that list what the platform consists of."""

import asyncio

import typer

from backhaul.cli.options import AsJson, Url

_PANEL = "Platform"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (kinds, workers):
        app.command(rich_help_panel=_PANEL)(command)


def kinds(url: Url = None, as_json: AsJson = False) -> None:
    """What can be submitted; --json tells the schemas of inputs and results too."""
    asyncio.run(_kinds(url, as_json=as_json))


def workers(url: Url = None, as_json: AsJson = False) -> None:
    """Who does the work."""
    asyncio.run(_workers(url, as_json=as_json))


async def _kinds(url: str | None, *, as_json: bool) -> None:
    from backhaul.cli import tables, wording
    from backhaul.cli.faults import say
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import output

    async with gateway(url) as client:
        found = await client.kinds()
    if as_json:
        print(f"[{','.join(kind.model_dump_json() for kind in found)}]")
    else:
        output().print(tables.kinds(found) if found else "no service has announced a kind: start a worker")
        for kind in found:
            if kind.refused is not None:
                say(wording.refusal(kind, kind.refused))


async def _workers(url: str | None, *, as_json: bool) -> None:
    from backhaul.cli import tables
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import output

    async with gateway(url) as client:
        found = await client.workers()
    if as_json:
        print(f"[{','.join(worker.model_dump_json() for worker in found)}]")
    else:
        output().print(tables.workers(found) if found else "no worker is there: start one with `backhaul worker`")
