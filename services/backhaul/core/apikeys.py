"""API keys: who may do what, and for which tenant.

A key is 256 random bits, so it cannot be guessed, and nothing is gained by hashing it slowly, as one must hash what
people choose: the store keeps its SHA-256, from which it cannot be found again. Nor does it matter how long a look-up
of a hash takes: whoever times it cannot choose hashes that come ever closer to a known one.
"""

import secrets
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from backhaul.core.errors import ConfigurationError
from backhaul_contracts.ids import new_id

DEFAULT_TENANT = "default"
"""The tenant of who shows no key where none is needed, and of who publishes without a name that the broker vouches
for."""

_PREFIX = "bh_"
_BYTES = 32
_LONGEST_NAME = 255


class Scope(StrEnum):
    """What a key may do with what is its tenant's: make tasks; read them; end and delete them. `admin` is all of it,
    and what concerns every tenant: queues, workers and dead letters."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    ADMIN = "admin"


USUAL = frozenset({Scope.SUBMIT, Scope.READ, Scope.CANCEL})
"""The scopes of a key that is made without naming any."""
EVERY = frozenset(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """All that is known of a key: itself is shown once, when it is made, and kept nowhere. One that is revoked stays
    on record."""

    id: str
    name: str
    tenant: str
    scopes: frozenset[Scope]
    digest: str
    created_at: datetime
    revoked_at: datetime | None = None


def new_api_key(name: str, tenant: str, scopes: frozenset[Scope], now: datetime) -> tuple[ApiKey, str]:
    """A key on record, and the key itself (`bh_` and 52 letters and digits).

    Raises `ConfigurationError` for names that nobody could tell apart or type.
    """
    bare = _PREFIX + b32encode(secrets.token_bytes(_BYTES)).decode().rstrip("=").lower()
    key = ApiKey(
        id=new_id("key"),
        name=_checked("name", name),
        tenant=_checked("tenant", tenant),
        scopes=scopes or USUAL,
        digest=digest_of(bare),
        created_at=now,
    )
    return key, bare


def digest_of(bare: str) -> str:
    """What the store keeps of a key."""
    return sha256(bare.encode("utf-8", "surrogatepass")).hexdigest()


def _checked(what: str, text: str) -> str:
    if not text or text != text.strip() or not text.isprintable() or len(text.encode()) > _LONGEST_NAME:
        raise ConfigurationError(
            f"the {what} {text!r} cannot be used: give 1 to {_LONGEST_NAME} printable characters, no space at the ends"
        )
    return text
