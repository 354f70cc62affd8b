"""API keys: hashes of them, and what each may do."""

from sqlalchemy import Connection, bindparam, func, insert, select, update

from backhaul.core.apikeys import ApiKey, Scope
from backhaul.core.clock import from_ms, to_ms
from backhaul.store.functions import store_now
from backhaul.store.schema import api_keys

_COLUMNS = (
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.tenant,
    api_keys.c.scopes,
    api_keys.c.digest,
    api_keys.c.created_at,
    api_keys.c.revoked_at,
)
_KEYS = select(*_COLUMNS).order_by(api_keys.c.id)
_REVOKE = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key_id"))
    .values(revoked_at=func.coalesce(api_keys.c.revoked_at, store_now()))
    .returning(*_COLUMNS)
)


def add(connection: Connection, key: ApiKey) -> None:
    """See `Store.add_api_key`."""
    connection.execute(
        insert(api_keys),
        {
            "id": key.id,
            "name": key.name,
            "tenant": key.tenant,
            "scopes": " ".join(sorted(key.scopes)),
            "digest": key.digest,
            "created_at": to_ms(key.created_at),
        },
    )


def read_api_keys(connection: Connection) -> list[ApiKey]:
    """See `Store.api_keys`."""
    return [_read(*row) for row in connection.execute(_KEYS)]


def revoke(connection: Connection, key_id: str) -> ApiKey | None:
    """See `Store.revoke_api_key`."""
    row = connection.execute(_REVOKE, {"key_id": key_id}).first()
    return None if row is None else _read(*row)


def _read(
    key_id: str, name: str, tenant: str, scopes: str, digest: str, created_ms: int, revoked_ms: int | None
) -> ApiKey:
    return ApiKey(
        id=key_id,
        name=name,
        tenant=tenant,
        scopes=_scopes(scopes),
        digest=digest,
        created_at=from_ms(created_ms),
        revoked_at=None if revoked_ms is None else from_ms(revoked_ms),
    )


def _scopes(text: str) -> frozenset[Scope]:
    """A scope of a newer version means nothing here."""
    words = text.split()
    return frozenset(scope for scope in Scope if scope in words)
