"""Keys for tests of who may do what."""

from datetime import timedelta

from backhaul.core.apikeys import EVERY, ApiKey, Scope, new_api_key
from tests.conformance.http.stage import Stage

Headers = dict[str, str]


async def new_key(stage: Stage, *scopes: Scope, tenant: str = "default", name: str = "test") -> tuple[ApiKey, Headers]:
    """A key that the gateway knows, and what shows it."""
    key, bare = new_api_key(name, tenant, frozenset(scopes) or EVERY, stage.clock.now())
    await stage.store.add_api_key(key)
    await let_it_look(stage)
    return key, {"Authorization": f"Bearer {bare}"}


async def let_it_look(stage: Stage) -> None:
    """Let the gateway learn what has become of the keys."""
    stage.clock.advance(timedelta(seconds=1))
    await stage.gateway.keyring.find("bh_made_up")
