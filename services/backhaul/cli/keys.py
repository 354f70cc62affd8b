"""Commands for API keys. They speak to the database, not to a gateway: so the first key can be made before one runs."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backhaul.cli.faults import Misuse
from backhaul.cli.options import AsJson
from backhaul.cli.session import settings

if TYPE_CHECKING:
    from backhaul.core.apikeys import ApiKey, Scope

_DEFAULT_FOLDER = ".backhaul"

Data = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help=f"The data folder of `backhaul dev`. Default: BACKHAUL_DATABASE_URL if it is set, else {_DEFAULT_FOLDER}.",
    ),
]

group = typer.Typer(help="API keys: make, list and revoke them; the secret of webhooks.")


def add_to(app: typer.Typer) -> None:
    """Add the group of this module."""
    app.add_typer(group, name="keys", rich_help_panel="Deploy", no_args_is_help=False)


@group.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is: for lists and logs.")],
    tenant: Annotated[str, typer.Option(help="Whose tasks it reaches.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="submit, read, cancel or admin; may be repeated. Default: the first three."),
    ] = None,
    data: Data = None,
) -> None:
    """Make a key, and print it: it is shown this once. As soon as there is one, every call needs one."""
    from backhaul.cli.terminal import notes, printable
    from backhaul.wiring import create_api_key

    configured, scopes = settings(), _scopes(scope or [])
    url = _database(configured, data, make=True)
    key, bare = create_api_key(configured, url, name=name, tenant=tenant, scopes=scopes)
    print(bare)
    may = ", ".join(sorted(key.scopes))
    notes().print(f"{key.id} may {may} for tenant {printable(key.tenant)}. The key is shown this once: keep it.")


@group.command("list")
def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """Who has keys, and what they may do. The keys themselves are known to nobody."""
    from backhaul.cli import tables
    from backhaul.cli.terminal import output
    from backhaul.wiring import list_api_keys

    configured = settings()
    found = list_api_keys(configured, _database(configured, data))
    if as_json:
        print(json.dumps([_facts(key) for key in found], ensure_ascii=False))
    else:
        output().print(tables.api_keys(found) if found else "there are no keys: `backhaul keys create` makes one")


@group.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its name if no other has it.")],
    data: Data = None,
) -> None:
    """Let a key do nothing more. Gateways know within seconds."""
    from backhaul.cli.terminal import printable
    from backhaul.wiring import revoke_api_key

    configured = settings()
    revoked = revoke_api_key(configured, _database(configured, data), key)
    print(f"{revoked.id} ({printable(revoked.name)}) is revoked")


@group.command("webhook-secret")
def webhook_secret(
    tenant: Annotated[str, typer.Option(help="Whose webhooks.")] = "default",
    data: Data = None,
) -> None:
    """Print the secret that signs the webhooks of tasks that were given none. Receivers verify with it."""
    from backhaul.wiring import webhook_secret as shown

    configured = settings()
    url = _database(configured, data, make=True)
    print(shown(configured, url, _secret_key(configured, data), tenant))


def _secret_key(configured: Any, data: str | None) -> str | None:
    from backhaul.embedded import DataFolder

    key: str | None = configured.opened_secret_key
    if key is None and (data is not None or "database_url" not in configured.model_fields_set):
        return DataFolder(data or _DEFAULT_FOLDER).secret_key
    return key


def _scopes(words: list[str]) -> "frozenset[Scope]":
    from backhaul.core.apikeys import Scope

    named = [name for word in words for name in word.split(",")]
    for name in named:
        if name not in set(Scope):
            raise Misuse(f"there is no scope {name!r}: choose from {', '.join(Scope)}")
    return frozenset(map(Scope, named))


def _database(configured: Any, data: str | None, *, make: bool = False) -> str:
    """The URL of the database that holds the keys. Raises `ConfigurationError` if there is none, and none is made."""
    from backhaul.core.errors import ConfigurationError
    from backhaul.embedded import DataFolder

    if data is None and "database_url" in configured.model_fields_set:
        url: str = configured.database_url.get_secret_value()
        return url
    path = data or _DEFAULT_FOLDER
    folder = DataFolder(path)
    if make:
        folder.make()
    elif not folder.made:
        raise ConfigurationError(f"the data folder {path} holds no platform: name one with --data")
    return folder.database_url


def _facts(key: "ApiKey") -> dict[str, Any]:
    from backhaul_contracts.wire import format_time

    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "created_at": format_time(key.created_at),
        "revoked_at": None if key.revoked_at is None else format_time(key.revoked_at),
    }
