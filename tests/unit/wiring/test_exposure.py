"""What is asked for before the API is served beyond loopback."""

from datetime import UTC, datetime
from typing import cast

import pytest
from pydantic import SecretStr

from backhaul.core.apikeys import EVERY, ApiKey, new_api_key
from backhaul.core.errors import ConfigurationError
from backhaul.core.ports.store import Store
from backhaul.embedded import embedded
from backhaul.settings import Settings
from backhaul.wiring import run_gateway
from backhaul.wiring.exposure import require_keys, require_secret

NOW = datetime(2030, 1, 1, tzinfo=UTC)
EVERYWHERE = Settings(host="0.0.0.0")


class Keys:
    """The one call of the store that matters here."""

    def __init__(self, *keys: ApiKey) -> None:
        self._keys = list(keys)

    async def api_keys(self) -> list[ApiKey]:
        return self._keys


def stored(*, revoked: bool) -> Store:
    key, _ = new_api_key("ci", "default", EVERY, NOW)
    fields = {name: getattr(key, name) for name in ApiKey.__slots__}
    return cast("Store", Keys(ApiKey(**{**fields, "revoked_at": NOW if revoked else None})))


@pytest.mark.parametrize("store", [cast("Store", Keys()), stored(revoked=True)], ids=["none", "revoked"])
async def test_without_a_key_nothing_is_served_to_the_network(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="backhaul keys create") as raised:
        await require_keys(EVERYWHERE, store)

    assert "\n" not in str(raised.value)


async def test_with_a_key_it_is_and_loopback_needs_none() -> None:
    await require_keys(EVERYWHERE, stored(revoked=False))
    await require_keys(Settings(), cast("Store", Keys()))
    require_secret(Settings())
    require_secret(EVERYWHERE.model_copy(update={"secret_key": SecretStr("s" * 32)}))


def test_gateways_on_the_network_need_a_secret_in_common() -> None:
    with pytest.raises(ConfigurationError, match="set BACKHAUL_SECRET_KEY"):
        run_gateway(EVERYWHERE)


async def test_an_embedded_platform_is_no_exception() -> None:
    with pytest.raises(ConfigurationError, match="open the API to the network"):
        async with embedded([], host="0.0.0.0"):
            pytest.fail("it was served")
