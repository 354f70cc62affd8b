"""A command's way to the gateway, and to the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backhaul.client import AsyncClient
    from backhaul.settings import Settings

PATIENT = "2m"
"""For who follows a task: a gateway that is restarted comes back."""


def settings() -> "Settings":
    """The settings. Raises `ConfigurationError` that names the variable."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from backhaul.core.errors import ConfigurationError
    from backhaul.settings import Settings

    try:
        return Settings()
    except SettingsError as error:
        raise ConfigurationError(str(error)) from error
    except ValidationError as error:
        faults = [(*fault["loc"], "")[0] for fault in error.errors()]
        names = [f"BACKHAUL_{str(name).upper()}: " if name else "" for name in faults]
        told = [
            f"{name}{fault['msg'].removeprefix('Value error, ')}"
            for name, fault in zip(names, error.errors(), strict=True)
        ]
        raise ConfigurationError("; ".join(told)) from error


@asynccontextmanager
async def gateway(url: str | None, *, patience: str = "1s") -> "AsyncIterator[AsyncClient]":
    """A client of the gateway that the command line or the settings name."""
    from backhaul.client import AsyncClient

    configured = settings()
    key = configured.api_key.get_secret_value() if configured.api_key else None
    async with AsyncClient(url or configured.url, key, patience=patience) as client:
        yield client
