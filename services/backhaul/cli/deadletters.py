"""Commands for what could not be handled."""

import asyncio
from typing import Annotated

import typer

from backhaul.cli.options import AsJson, Url

LetterId = Annotated[str, typer.Argument(metavar="ID", help="A dead letter: dl_…")]

group = typer.Typer(help="What could not be handled: list it, send it again, delete it.")


def add_to(app: typer.Typer) -> None:
    """Add the group of this module."""
    app.add_typer(group, name="dead-letters", rich_help_panel="Platform", no_args_is_help=False)


@group.callback(invoke_without_command=True)
def dead_letters(
    context: typer.Context,
    queue: Annotated[str | None, typer.Option(help="Only of this queue, such as backhaul.invalid.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this reason, such as unknown_kind.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The most that are shown.")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What could not be handled, newest first: list it, send it again, delete it."""
    if context.invoked_subcommand is None:
        asyncio.run(_list(url, queue, reason, limit, as_json=as_json))


@group.command()
def show(letter_id: LetterId, url: Url = None, as_json: AsJson = False) -> None:
    """Show a dead letter with its headers and its whole body."""
    asyncio.run(_show(url, letter_id, as_json=as_json))


@group.command()
def replay(letter_id: LetterId, url: Url = None, as_json: AsJson = False) -> None:
    """Send a message again where it was sent first."""
    asyncio.run(_replay(url, letter_id, as_json=as_json))


@group.command()
def delete(letter_id: LetterId, url: Url = None) -> None:
    """Forget a message."""
    asyncio.run(_delete(url, letter_id))


async def _list(url: str | None, queue: str | None, reason: str | None, limit: int, *, as_json: bool) -> None:
    from backhaul.cli import tables
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import show_list

    async with gateway(url) as client:
        found = [letter async for letter in client.dead_letters(limit=limit, queue=queue, reason=reason)]
    show_list(found, tables.dead_letters, "no dead letter is there", as_json=as_json)


async def _show(url: str | None, letter_id: str, *, as_json: bool) -> None:
    from backhaul.cli import tables
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import output

    async with gateway(url) as client:
        letter = await client.dead_letter(letter_id)
    if as_json:
        print(letter.model_dump_json(indent=2))
    else:
        output().print(tables.dead_letter(letter))


async def _replay(url: str | None, letter_id: str, *, as_json: bool) -> None:
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import printable

    async with gateway(url) as client:
        letter = await client.replay_dead_letter(letter_id)
    sent_to = f"{letter.exchange or 'the default exchange'} with the key {letter.routing_key}"
    print(letter.model_dump_json(indent=2) if as_json else f"{letter.id} is sent to {printable(sent_to)} again")


async def _delete(url: str | None, letter_id: str) -> None:
    from backhaul.cli.session import gateway

    async with gateway(url) as client:
        await client.delete_dead_letter(letter_id)
    print(f"{letter_id} is deleted")
