"""API keys on record."""

from datetime import UTC, datetime

from backhaul.core.apikeys import USUAL, Scope, digest_of, new_api_key
from backhaul.store import SqlStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_key_is_kept_as_its_hash_alone(store: SqlStore, other: SqlStore) -> None:
    key, bare = new_api_key("ci", "ärzte", frozenset({Scope.READ, Scope.SUBMIT}), NOW)

    await store.add_api_key(key)

    (kept,) = await other.api_keys()
    assert kept == key
    assert kept.digest == digest_of(bare)
    assert bare not in repr(kept)


async def test_a_revoked_key_stays_on_record(store: SqlStore) -> None:
    keys = [new_api_key(name, "default", USUAL, NOW)[0] for name in ("first", "second")]
    for key in keys:
        await store.add_api_key(key)

    revoked = await store.revoke_api_key(keys[0].id)
    again = await store.revoke_api_key(keys[0].id)

    assert revoked is not None
    assert revoked.revoked_at is not None
    assert again == revoked
    assert await store.api_keys() == [revoked, keys[1]]


async def test_a_key_that_never_was_cannot_be_revoked(store: SqlStore) -> None:
    assert await store.revoke_api_key("key_1") is None
