"""The API keys, as this gateway knows them: no call waits for the store to say whose key it shows."""

import logging
from datetime import timedelta

from backhaul.core.apikeys import ApiKey, digest_of
from backhaul.core.clock import Clock
from backhaul.core.errors import StoreUnavailable
from backhaul.core.freshness import Freshness
from backhaul.core.ports.store import Store
from backhaul.gateway.access.identity import Identity, anybody
from backhaul.gateway.patience import answered

_log = logging.getLogger("backhaul.gateway")

_INTERVAL = timedelta(seconds=1)
_PATIENCE = timedelta(milliseconds=250)
_TRUSTED = timedelta(minutes=5)


class Keyring:
    """All keys, read again every second: so a revoked one ends within two.

    One that is not known is looked for at once, but not more than four times a second, whoever asks: made-up keys cost
    the store nothing more. While the store is down, keys go on as they were last known, for five minutes.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._identities: dict[str, Identity] = {}
        self._digests: dict[str, str] = {}
        """By the ids of keys."""
        self._anybody: Identity | None = None
        self._doubtful = True
        """Whether what was last read is too old to go by, or nothing was ever read."""
        self._fresh = Freshness(clock, self._read)

    async def run(self) -> None:
        """Keep up with the store, until cancelled."""
        while True:
            try:
                await self._read_within(timedelta(0))
            except StoreUnavailable as error:
                _log.debug("API keys go on as they were last known: %s", error)
                self._doubtful = not self._fresh.younger_than(_TRUSTED)
            await self._clock.sleep(_INTERVAL)

    async def anybody(self) -> Identity | None:
        """Who comes without a key; None if there has ever been one: from then on one is needed. Raises
        `StoreUnavailable` if nobody knows."""
        if self._doubtful:
            await self._read_within(_PATIENCE)
        return self._anybody

    async def find(self, bare: str) -> Identity | None:
        """Whose key this is; None if it is nobody's, or revoked. Raises `StoreUnavailable` if nobody knows."""
        digest = digest_of(bare)
        found = self._identities.get(digest)
        if found is None or self._doubtful:
            await self._read_within(_PATIENCE)
            found = self._identities.get(digest)
        return found

    async def issuer(self, key_id: str) -> Identity | None:
        """Who holds the key with this id; as `find` does."""
        digest = self._digests.get(key_id)
        if digest is None or self._doubtful:
            await self._read_within(_PATIENCE)
            digest = self._digests.get(key_id)
        return None if digest is None else self._identities[digest]

    async def _read_within(self, age: timedelta) -> None:
        """However many wait for their turn to read, none waits for longer than the store is given to answer."""
        await answered(self._fresh.within(age))

    async def _read(self) -> None:
        self._learn(await self._store.api_keys())
        self._doubtful = False

    def _learn(self, keys: list[ApiKey]) -> None:
        valid = {key.digest: key for key in keys if key.revoked_at is None}
        for digest, identity in self._identities.items():
            if digest not in valid:
                identity.revoke()
        known = self._identities
        self._identities = {
            digest: known.get(digest) or Identity(key.tenant, key.scopes, key) for digest, key in valid.items()
        }
        self._digests = {key.id: digest for digest, key in valid.items()}
        if not keys:
            self._anybody = self._anybody or anybody()
        elif self._anybody is not None:
            self._anybody.revoke()
            self._anybody = None
