"""What has to be there before the API is served to more than this machine."""

from backhaul.core.errors import ConfigurationError
from backhaul.core.ports.store import Store
from backhaul.settings import Settings


def require_secret(settings: Settings) -> None:
    """Raises `ConfigurationError` if gateways beyond loopback had no secret in common."""
    from backhaul.gateway import is_loopback

    if settings.secret_key is None and not is_loopback(settings.host):
        raise ConfigurationError(
            f"serving on {settings.host} needs a secret that all gateways share: set BACKHAUL_SECRET_KEY to 32 or more "
            "random characters, such as `openssl rand -hex 32` prints"
        )


async def require_keys(settings: Settings, store: Store) -> None:
    """Raises `ConfigurationError` if the API would be open to the network."""
    from backhaul.gateway import is_loopback

    if not is_loopback(settings.host) and all(key.revoked_at for key in await store.api_keys()):
        raise ConfigurationError(
            f"serving on {settings.host} would open the API to the network, since there is no API key: make one with "
            "`backhaul keys create --name NAME` (for `backhaul dev`, with its --data), or serve on 127.0.0.1"
        )
