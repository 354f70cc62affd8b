"""API keys are made and revoked in the store directly: before the first start, and by whoever may reach the store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from backhaul.core.apikeys import ApiKey, Scope, new_api_key
from backhaul.core.clock import SystemClock
from backhaul.core.errors import ConfigurationError
from backhaul.core.ports.store import Store
from backhaul.settings import Settings
from backhaul.wiring.adapters import open_store

T = TypeVar("T")


def create_api_key(
    settings: Settings, url: str, *, name: str, tenant: str, scopes: frozenset[Scope]
) -> tuple[ApiKey, str]:
    """A new key in the store at `url`, and the key itself, which nobody can look up later.

    Raises `StoreUnavailable` or `ConfigurationError`, as the other functions here do.
    """
    key, bare = new_api_key(name, tenant, scopes, SystemClock().now())
    with_store(settings, url, lambda store: store.add_api_key(key))
    return key, bare


def list_api_keys(settings: Settings, url: str) -> list[ApiKey]:
    """Every key that was ever made in the store at `url`, the oldest first."""
    return with_store(settings, url, lambda store: store.api_keys())


def revoke_api_key(settings: Settings, url: str, named: str) -> ApiKey:
    """Let a key do nothing more: the one with this id, or the only one with this name that is not revoked."""

    async def revoke(store: Store) -> ApiKey:
        revoked = await store.revoke_api_key(_meant(await store.api_keys(), named).id)
        if revoked is None:
            raise _unknown(named)
        return revoked

    return with_store(settings, url, revoke)


def _meant(keys: list[ApiKey], named: str) -> ApiKey:
    for key in keys:
        if key.id == named:
            return key
    fitting = [key for key in keys if key.name == named and key.revoked_at is None]
    if len(fitting) > 1:
        raise ConfigurationError(f"{len(fitting)} keys are named {named!r}: give the id, which `keys list` shows")
    if not fitting:
        raise _unknown(named)
    return fitting[0]


def _unknown(named: str) -> ConfigurationError:
    return ConfigurationError(f"there is no key {named!r} to revoke: `backhaul keys list` shows all")


def with_store(settings: Settings, url: str, act: Callable[[Store], Awaitable[T]]) -> T:
    """What `act` returns of the store at `url`, which is started and stopped around it."""

    async def run() -> T:
        store = open_store(settings, SystemClock(), url=url)
        try:
            await store.start()
            return await act(store)
        finally:
            await store.stop()

    return asyncio.run(run())
