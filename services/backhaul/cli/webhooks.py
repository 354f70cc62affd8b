"""Commands for webhook endpoints, and for what was sent."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from backhaul.cli.options import AsJson, Url

if TYPE_CHECKING:
    from backhaul_contracts.webhooks import WebhookEndpoint

EndpointId = Annotated[str, typer.Argument(metavar="ID", help="An endpoint: whe_…")]

group = typer.Typer(help="Where the events of all tasks are sent: list, add and change endpoints, see what was sent.")


def add_to(app: typer.Typer) -> None:
    """Add the group of this module."""
    app.add_typer(group, name="webhooks", rich_help_panel="Platform", no_args_is_help=False)


@group.callback(invoke_without_command=True)
def webhooks(context: typer.Context, url: Url = None, as_json: AsJson = False) -> None:
    """Where the events of all tasks are sent: list, add and change endpoints, see what was sent."""
    if context.invoked_subcommand is None:
        asyncio.run(_list(url, as_json=as_json))


@group.command()
def add(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The URL that events are sent to.")],
    event: Annotated[
        list[str] | None, typer.Option(help="Such as task.started; may be repeated. Default: how tasks end.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="For lists.")] = None,
    url: Url = None,
) -> None:
    """Send events there from now on. Prints the secret that signs them: it is shown this once."""
    asyncio.run(_add(url, target, event, description))


@group.command("rotate-secret")
def rotate_secret(
    endpoint_id: EndpointId,
    overlap: Annotated[str, typer.Option(help="How long the old secret signs along, up to 7d.")] = "24h",
    url: Url = None,
) -> None:
    """Make a new secret, and print it: it is shown this once."""
    asyncio.run(_rotate(url, endpoint_id, overlap))


@group.command()
def enable(endpoint_id: EndpointId, url: Url = None) -> None:
    """Send events there again."""
    asyncio.run(_enable(url, endpoint_id, enabled=True))


@group.command()
def disable(endpoint_id: EndpointId, url: Url = None) -> None:
    """Send nothing more there. What is on its way has failed."""
    asyncio.run(_enable(url, endpoint_id, enabled=False))


@group.command()
def remove(endpoint_id: EndpointId, url: Url = None) -> None:
    """Forget an endpoint, and what was sent to it."""
    asyncio.run(_remove(url, endpoint_id))


@group.command("test")
def send_test(endpoint_id: EndpointId, url: Url = None) -> None:
    """Send a `webhook.test`, once. `deliveries` shows what became of it."""
    asyncio.run(_test(url, endpoint_id))


@group.command()
def deliveries(
    owner: Annotated[str, typer.Argument(metavar="ID", help="An endpoint, whe_…, or a task, tsk_…")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The most that are shown.")] = 20,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What was sent to an endpoint, or of a task, newest first."""
    asyncio.run(_deliveries(url, owner, limit, as_json=as_json))


async def _list(url: str | None, *, as_json: bool) -> None:
    from backhaul.cli import tables
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import show_list

    async with gateway(url) as client:
        found = [endpoint async for endpoint in client.webhooks.list()]
    show_list(
        found,
        tables.endpoints,
        "no endpoint is there: `backhaul webhooks add` makes one",
        as_json=as_json,
        without={"secret"},
    )


async def _add(url: str | None, target: str, events: list[str] | None, description: str | None) -> None:
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import printable

    async with gateway(url) as client:
        made = await client.webhooks.add(target, events=events, description=description)
    _show_secret(made, f"{made.id} gets {' '.join(made.events)} at {printable(made.url)}.")


async def _rotate(url: str | None, endpoint_id: str, overlap: str) -> None:
    from backhaul.cli.session import gateway

    async with gateway(url) as client:
        rotated = await client.webhooks.rotate_secret(endpoint_id, overlap=overlap)
    until = rotated.old_secret_until
    old = "is void" if until is None else f"signs along until {until.astimezone():%Y-%m-%d %H:%M}"
    _show_secret(rotated, f"{rotated.id} has a new secret; the old one {old}.")


def _show_secret(endpoint: "WebhookEndpoint", sentence: str) -> None:
    from backhaul.cli.terminal import notes

    print(endpoint.secret)
    notes().print(f"{sentence} The secret is shown this once: keep it.")


async def _enable(url: str | None, endpoint_id: str, *, enabled: bool) -> None:
    from backhaul.cli.session import gateway

    async with gateway(url) as client:
        changed = await client.webhooks.change(endpoint_id, enabled=enabled)
    print(f"{changed.id} is {'enabled' if changed.enabled else 'disabled'}")


async def _remove(url: str | None, endpoint_id: str) -> None:
    from backhaul.cli.session import gateway

    async with gateway(url) as client:
        await client.webhooks.remove(endpoint_id)
    print(f"{endpoint_id} is removed")


async def _test(url: str | None, endpoint_id: str) -> None:
    from backhaul.cli.session import gateway

    async with gateway(url) as client:
        sent = await client.webhooks.test(endpoint_id)
    print(f"{sent.id} is on its way: `backhaul webhooks deliveries {endpoint_id}` shows what becomes of it")


async def _deliveries(url: str | None, owner: str, limit: int, *, as_json: bool) -> None:
    from backhaul.cli import tables
    from backhaul.cli.session import gateway
    from backhaul.cli.terminal import show_list

    async with gateway(url) as client:
        found = [delivery async for delivery in client.webhooks.deliveries(owner, limit=limit)]
    show_list(found, tables.deliveries, "nothing was sent", as_json=as_json)
