"""The secret that signs a tenant's webhooks, for whoever may reach the store and has its key."""

from backhaul.core.errors import ConfigurationError
from backhaul.core.webhooks import new_secret
from backhaul.settings import Settings
from backhaul.wiring.apikeys import with_store


def webhook_secret(settings: Settings, url: str, secret_key: str | None, tenant: str) -> str:
    """The secret that signs what has none of its own; it is made when it is first asked for.

    Raises `ConfigurationError` without a key, or with another than that of the store at `url`, and `StoreUnavailable`.
    """
    from backhaul.core.sealing import Vault

    if secret_key is None:
        raise ConfigurationError(
            "webhook secrets are encrypted: set BACKHAUL_SECRET_KEY to what the gateways have, or name the folder of "
            "`backhaul dev` with --data"
        )
    vault = Vault(secret_key)
    return vault.open(with_store(settings, url, lambda store: store.tenant_secret(tenant, vault.seal(new_secret()))))
