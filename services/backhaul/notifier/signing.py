"""Signing, by Standard Webhooks version 1: with the secret of the webhook, else with that of its tenant."""

from contextlib import suppress
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

from backhaul.core.errors import ConfigurationError
from backhaul.core.ports.store import Store
from backhaul.core.ports.webhooks import Mail
from backhaul.core.sealing import Vault
from backhaul.core.webhooks import new_secret

_MOST_TENANTS = 10_000


class Signer:
    """Knows the secrets. Those of tenants are read once, since they never change."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._of_tenants: dict[str, str] = {}

    async def headers(self, mail: Mail, now: datetime) -> dict[str, str]:
        """What proves that a mail is ours. Raises `StoreUnavailable`, and `ConfigurationError` for another key."""
        secrets = [await self.tenant_secret(mail.tenant) if mail.secret is None else self._vault.open(mail.secret)]
        if mail.retired_secret is not None:
            with suppress(ConfigurationError):  # its key may be why it was replaced
                secrets.append(self._vault.open(mail.retired_secret))
        now = now.astimezone(UTC)
        return {
            "content-type": "application/json",
            "user-agent": "backhaul",
            "webhook-id": mail.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(Webhook(secret).sign(mail.id, now, mail.body) for secret in secrets),
        }

    async def tenant_secret(self, tenant: str) -> str:
        """The secret that signs what has none of its own; it is made when it is first asked for."""
        known = self._of_tenants.get(tenant)
        if known is None:
            known = self._vault.open(await self._store.tenant_secret(tenant, self._vault.seal(new_secret())))
            if len(self._of_tenants) >= _MOST_TENANTS:
                self._of_tenants.clear()
            self._of_tenants[tenant] = known
        return known
