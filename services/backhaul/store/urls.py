"""URLs of databases: which ones we know, and how they may be shown."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from backhaul.core.errors import ConfigurationError

_DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg", "sqlite": "sqlite+pysqlite"}


def parse(url: str) -> URL:
    """The URL with the driver we use. Raises `ConfigurationError` for any other database."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the database URL cannot be read: write it as postgresql://user:password@host/name or sqlite:///file"
        ) from error
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise ConfigurationError(
            f"the database {parsed.get_backend_name()} is not supported: use postgresql://… or sqlite:///…"
        )
    return parsed.set(drivername=driver)


def redacted(url: URL) -> str:
    """The URL as it may be shown and logged."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def in_memory(url: URL) -> bool:
    """Whether this is a SQLite database that lives as long as its one connection."""
    return url.database in (None, "", ":memory:")
