"""Commands for queues."""

import asyncio
from typing import Annotated

import typer

from backhaul.cli.options import AsJson, Url

Name = Annotated[str, typer.Argument(metavar="NAME", help="A queue: `backhaul queues` lists them.")]

group = typer.Typer(help="Where tasks wait: list queues, pause and resume them.")


def add_to(app: typer.Typer) -> None:
    """Add the group of this module."""
    app.add_typer(group, name="queues", rich_help_panel="Platform", no_args_is_help=False)


@group.callback(invoke_without_command=True)
def queues(context: typer.Context, url: Url = None, as_json: AsJson = False) -> None:
    """Where tasks wait: list queues, pause and resume them."""
    if context.invoked_subcommand is None:
        asyncio.run(_list(url, as_json=as_json))


@group.command()
def pause(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """Start nothing more from a queue. What runs goes on, and submits are accepted."""
    asyncio.run(_set(url, name, paused=True, as_json=as_json))


@group.command()
def resume(name: Name, url: Url = None, as_json: AsJson = False) -> None:
    """Start tasks from a queue again."""
    asyncio.run(_set(url, name, paused=False, as_json=as_json))


async def _list(url: str | None, *, as_json: bool) -> None:
    from backhaul.cli import tables
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import show_list

    async with gateway(url) as client:
        found = await client.queues()
    show_list(found, tables.queues, "no service has announced a queue: start a worker", as_json=as_json)


async def _set(url: str | None, name: str, *, paused: bool, as_json: bool) -> None:
    from backhaul.cli.session import gateway

    async with gateway(url) as client:
        queue = await (client.pause_queue(name) if paused else client.resume_queue(name))
    sentence = f"queue {queue.name} is {'paused' if queue.paused else 'open'}, {queue.waiting} tasks wait in it"
    print(queue.model_dump_json(indent=2) if as_json else sentence)
