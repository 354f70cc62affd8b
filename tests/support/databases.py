"""Databases of one test each, on any PostgreSQL server where we may create them."""

import secrets
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.deadlines import within


async def create_database(server_url: str, *, template: str = "template1") -> str:
    """The URL of a new database on the server of `server_url`: empty, or a copy of the database `template`.

    :raises PermissionError: the user of `server_url` lacks the right to create databases.
    """
    name = f"backhaul_test_{secrets.token_hex(6)}"
    try:
        await _execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    except asyncpg.InsufficientPrivilegeError as refusal:
        user = urlsplit(server_url).username
        raise PermissionError(f"{refusal}: run `ALTER USER {user} CREATEDB` on the test server") from refusal
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


async def drop_database(server_url: str, url: str) -> None:
    """Remove a database made by `create_database`; its connections are closed."""
    await _execute(server_url, f'DROP DATABASE IF EXISTS "{database_name(url)}" WITH (FORCE)')


def database_name(url: str) -> str:
    """The name of the database in a URL, for `create_database(template=…)`."""
    return urlsplit(url).path.lstrip("/")


async def _execute(url: str, statement: str) -> None:
    async with within():
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
