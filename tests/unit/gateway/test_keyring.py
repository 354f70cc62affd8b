"""What becomes of keys while the store is in trouble, and what made-up ones cost it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from backhaul.core.apikeys import EVERY, new_api_key
from backhaul.core.deadlines import Deadline
from backhaul.core.errors import StoreUnavailable
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.gateway import patience
from backhaul.gateway.access.access import Access
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.keyring import Keyring
from backhaul.gateway.access.links import StreamLinks
from backhaul.settings import Settings
from backhaul.testing.clock import ManualClock
from tests.conformance.http.stage import Stage, body, staged
from tests.conformance.store.given import draft
from tests.unit.gateway.fakes import FakeBroker, FakeStore

KEY, _ = new_api_key("links", "shop", EVERY, datetime(2026, 1, 1, tzinfo=UTC))
HOLDER = Identity(KEY.tenant, KEY.scopes, KEY)


@pytest.fixture
def shown(store: FakeStore, clock: ManualClock) -> dict[str, str]:
    """What shows the only key there is."""
    key, bare = new_api_key("ci", "default", EVERY, clock.now())
    store.keys = [key]
    return {"Authorization": f"Bearer {bare}"}


async def let_pass(stage: Stage, length: timedelta) -> None:
    """Let time pass, and the gateway notice."""
    stage.clock.advance(length)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_while_the_store_is_down_known_keys_are_known_and_others_are_told_to_come_back(
    shown: dict[str, str], stage: Stage, store: FakeStore
) -> None:
    await stage.http.post("/v1/tasks", json=body(), headers=shown)
    store.down = True
    await let_pass(stage, timedelta(minutes=4))

    known = await stage.gateway.keyring.find(shown["Authorization"].removeprefix("Bearer "))
    unknown = await stage.http.get("/v1/tasks", headers={"Authorization": "Bearer bh_made_up"})
    without = await stage.http.get("/v1/tasks")

    assert known is not None
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "1")
    assert without.status_code == 401


async def test_after_five_minutes_nobody_is_known(shown: dict[str, str], stage: Stage, store: FakeStore) -> None:
    await stage.http.post("/v1/tasks", json=body(), headers=shown)
    store.down = True
    await let_pass(stage, timedelta(minutes=6))

    answers = [await stage.http.get("/v1/tasks", headers=headers) for headers in (shown, {})]

    assert [answer.status_code for answer in answers] == [503, 503]


async def test_a_store_that_was_never_heard_opens_nothing(store: FakeStore, clock: ManualClock) -> None:
    store.down = True
    async with staged(cast("Store", store), cast("Broker", FakeBroker()), clock) as stage:
        answer = await stage.http.get("/v1/kinds")

    assert answer.status_code == 503


async def test_made_up_keys_do_not_reach_the_store(shown: dict[str, str], stage: Stage, store: FakeStore) -> None:
    await stage.http.get("/v1/kinds", headers=shown)
    await let_pass(stage, timedelta(milliseconds=300))
    before = store.calls.count("api_keys")

    answers = [
        await stage.http.get("/v1/kinds", headers={"Authorization": f"Bearer bh_{number}"}) for number in range(50)
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert store.calls.count("api_keys") - before == 1


async def test_of_many_strangers_none_waits_for_the_patience_of_another(
    store: FakeStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STORE_PATIENCE", Deadline(timedelta(milliseconds=200)))
    keyring = Keyring(cast("Store", store), clock)
    store.fall_silent()

    async with asyncio.timeout(2):
        answers = await asyncio.gather(*(keyring.find(f"bh_{n}") for n in range(50)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {StoreUnavailable}


async def test_beyond_loopback_it_is_never_open(store: FakeStore, clock: ManualClock) -> None:
    settings = Settings(host="0.0.0.0")
    async with staged(cast("Store", store), cast("Broker", FakeBroker()), clock, settings) as stage:
        answer = await stage.http.get("/v1/kinds")

    assert answer.status_code == 401


async def test_gateways_with_one_secret_read_each_others_links(store: FakeStore, stage: Stage) -> None:
    record = store.tasks[(await stage.submit())["id"]].record
    mine, other = (StreamLinks("s" * 32, stage.clock) for _ in range(2))

    token = mine.token(record, HOLDER) or ""

    assert other.key_id(record.id, token) == KEY.id
    assert StreamLinks("t" * 32, stage.clock).key_id(record.id, token) is None


async def test_a_link_is_no_key(store: FakeStore, clock: ManualClock) -> None:
    links, keyring = StreamLinks("s" * 32, clock), Keyring(cast("Store", store), clock)
    store.keys = [KEY]
    record = draft(id="tsk_1").record

    linked = await Access(keyring, links, open_at_first=False).by_link("tsk_1", links.token(record, HOLDER) or "")

    assert (linked.tenant, linked.key, sorted(linked.scopes)) == ("shop", None, ["read"])
    assert links.token(record, linked) is None
