"""Kinds and queues: what services have announced, and where tasks wait."""

from backhaul.store import SqlStore
from backhaul_contracts.kinds import KindSpec
from tests.conformance.store.given import FUTURE, accepted, claim, draft, granted, spec


def versions(specs: list[KindSpec]) -> list[tuple[str, str]]:
    return [(one.kind, one.version) for one in specs]


async def test_an_announced_kind_is_kept_word_for_word(store: SqlStore) -> None:
    announced = spec(input_schema={"type": "object", "properties": {"text": {"type": "string", "pattern": "^\\w+$"}}})

    await store.announce([announced])

    assert await store.kinds() == [announced]


async def test_kinds_are_listed_by_name(store: SqlStore) -> None:
    await store.announce([spec("test.b"), spec("test.c"), spec("test.a")])

    assert versions(await store.kinds()) == [("test.a", "1"), ("test.b", "1"), ("test.c", "1")]


async def test_the_newest_announcement_of_a_version_wins(store: SqlStore) -> None:
    await store.announce([spec(queue="old"), spec(queue="new")])
    await store.announce([spec(queue="newest")])

    assert [one.queue for one in await store.kinds()] == ["newest"]


async def test_only_the_latest_version_of_a_kind_is_listed(store: SqlStore) -> None:
    await store.announce([spec(version="2"), spec(version="1")])

    assert versions(await store.kinds()) == [("test.echo", "2")]


async def test_what_waits_is_counted_by_queue(store: SqlStore) -> None:
    waiting = [draft(queue=queue) for queue in ("a", "b", "b", "c")]
    await accepted(store, *waiting, draft(queue="d", scheduled_for=FUTURE))
    await granted(store, claim(queue="c"))

    assert await store.claimable() == {"a": 1, "b": 2}


async def test_a_paused_queue_is_left_out(store: SqlStore) -> None:
    await accepted(store, draft(queue="a"), draft(queue="b"))
    await store.set_paused("a", True)

    assert await store.claimable() == {"b": 1}


async def test_nothing_is_counted_beyond_a_thousand(store: SqlStore) -> None:
    await accepted(store, *(draft() for _ in range(1_010)), draft(queue="other"))

    assert await store.claimable() == {"test": 1_000, "other": 1}


async def test_where_nothing_waits_nothing_is_counted(store: SqlStore) -> None:
    assert await store.claimable() == {}
