"""Kinds and queues: what services have announced, and where tasks wait."""

import asyncio

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


NARROW = {"type": "object", "required": ["text"]}


async def test_an_announcement_that_breaks_its_version_is_refused_and_changes_nothing(store: SqlStore) -> None:
    first, other = spec(input_schema={"type": "object"}), spec("test.other")
    await store.announce([first])

    broken = await store.announce([other, spec(input_schema=NARROW, service_version="2.0")])

    (refused,) = broken
    assert (refused.kind, refused.version) == ("test.echo", "1")
    assert refused.reason == "input /text: may be left out → must be there"
    assert await store.kinds() == [first]
    told = (await store.refusals())["test.echo"]
    assert (told.version, told.service_version, told.reason) == ("1", "2.0", refused.reason)


async def test_a_new_version_may_break_what_was_promised(store: SqlStore) -> None:
    await store.announce([spec(input_schema={"type": "object"})])

    broken = await store.announce([spec(version="2", input_schema=NARROW)])

    assert (broken, await store.refusals()) == ([], {})
    assert versions(await store.kinds()) == [("test.echo", "2")]


async def test_a_refusal_is_forgotten_when_the_version_is_announced_as_it_should_be(store: SqlStore) -> None:
    first = spec(input_schema={"type": "object"})
    await store.announce([first])
    await store.announce([spec(input_schema=NARROW)])

    await store.announce([first])

    assert await store.refusals() == {}


async def test_what_is_announced_anew_need_not_keep_the_promises_of_before(store: SqlStore) -> None:
    await store.announce([spec(input_schema={"type": "object"})])
    changed = spec(input_schema=NARROW)

    broken = await store.announce([changed], anew={("test.echo", "1")})

    assert [one.kind for one in broken] == ["test.echo"]
    assert await store.kinds() == [changed]
    assert await store.refusals() == {}


async def test_of_two_that_announce_a_kind_at_once_the_second_is_held_to_the_first(store: SqlStore) -> None:
    one, other = spec(result_schema={"type": "string"}), spec(result_schema={"type": "integer"})

    answers = await asyncio.gather(store.announce([one]), store.announce([other]))

    assert sorted(len(broken) for broken in answers) == [0, 1]
    assert await store.kinds() in ([one], [other])


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


async def test_the_backlog_is_counted_up_to_a_bound_in_paused_queues_too(store: SqlStore) -> None:
    await accepted(store, *(draft(queue=queue) for queue in ("a", "a", "a", "b")))
    await store.set_paused("b", True)

    assert await store.waiting(2) == {"a": 2, "b": 1}
