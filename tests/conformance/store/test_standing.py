"""How queues stand."""

from datetime import UTC, datetime, timedelta

from backhaul.core.clock import to_ms
from backhaul.store import SqlStore
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.listings import QueueInfo
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import (
    FUTURE,
    accepted,
    advanced,
    claim,
    draft,
    granted,
    records,
    spec,
    succeeded,
)


async def standing(store: SqlStore) -> dict[str, QueueInfo]:
    return {queue.name: queue for queue in await store.queues()}


async def test_a_queue_that_a_kind_names_stands_there_with_nothing_in_it(store: SqlStore) -> None:
    await store.announce([spec(queue="empty")])

    [queue] = await store.queues()

    assert queue == QueueInfo(name="empty", waiting=0, running=0, oldest_age=None, rate=0, paused=False)


async def test_no_schema_of_a_kind_hides_how_queues_stand(store: SqlStore) -> None:
    without_nul = {"type": "string", "pattern": "^[^\0]*$", "description": r"No \u0000, and no \\u0000."}
    await store.announce([spec(queue="empty", input_schema=without_nul)])

    assert list(await standing(store)) == ["empty"]
    assert [line.name for line in (await store.census()).queues] == ["empty"]


async def test_what_waits_and_what_runs_is_counted_by_queue(store: SqlStore) -> None:
    await accepted(store, *(draft(queue="a") for _ in range(3)), draft(queue="b"))
    await accepted(store, draft(queue="c", scheduled_for=FUTURE))
    await granted(store, claim(queue="a"))
    await granted(store, claim(queue="b"))

    found = await standing(store)

    assert {name: (queue.waiting, queue.running) for name, queue in found.items()} == {"a": (2, 1), "b": (0, 1)}
    assert list(found) == ["a", "b"]
    assert found["b"].oldest_age is None
    age = found["a"].oldest_age
    assert age is not None
    assert timedelta(0) <= age < timedelta(hours=1)


async def test_the_oldest_that_waits_counts_from_its_making_or_from_when_it_was_due(store: SqlStore) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    await accepted(
        store,
        draft(queue="a", id=new_task_id(to_ms(hour_ago))),
        draft(queue="a"),
        draft(queue="b", id=new_task_id(to_ms(hour_ago)), scheduled_for=hour_ago + timedelta(minutes=30)),
    )
    for command in await store.overdue(10):
        await advanced(store, command)

    ages = {name: queue.oldest_age for name, queue in (await standing(store)).items()}

    assert timedelta(minutes=59) < (ages["a"] or timedelta()) < timedelta(minutes=65)
    assert timedelta(minutes=29) < (ages["b"] or timedelta()) < timedelta(minutes=35)


async def test_the_rate_tells_of_what_has_ended_within_a_minute(store: SqlStore) -> None:
    await store.announce([spec()])
    await accepted(store, *(draft() for _ in range(30)))
    for record in records(await granted(store, claim(30))):
        await advanced(store, succeeded(record))

    assert (await standing(store))["test"].rate == 0.5


async def test_a_paused_queue_says_so_and_goes_on_counting(store: SqlStore) -> None:
    await accepted(store, draft(queue="a"))
    await store.set_paused("a", True)
    await store.set_paused("gone", True)

    found = await standing(store)
    await store.set_paused("gone", False)

    assert {name: (queue.paused, queue.waiting) for name, queue in found.items()} == {"a": (True, 1), "gone": (True, 0)}
    assert list(await standing(store)) == ["a"]


async def test_the_census_tells_what_is_held_timed_and_owed(store: SqlStore) -> None:
    await accepted(store, *(draft(queue="a") for _ in range(2)), draft(queue="a", scheduled_for=FUTURE))
    await granted(store, claim(queue="a"))

    census = await store.census()

    [queue] = census.queues
    assert (queue.name, queue.waiting) == ("a", 1)
    assert census.held == {("a", Status.RUNNING): 1}
    assert census.timed == {Status.SCHEDULED: 1}
    assert census.debts == 2
    assert timedelta(0) <= census.oldest_debt < timedelta(hours=1)
    assert census.deliveries == 0
    assert [(crew.state, crew.workers) for crew in census.crews] == [("ready", 1)]


async def test_a_queue_stands_in_the_census_if_a_kind_names_it_if_it_is_paused_or_if_it_has_tasks(
    store: SqlStore,
) -> None:
    await store.announce([spec("test.old", queue="left")])
    await store.announce([spec("test.old", version="2", queue="named")])
    await store.set_paused("paused", True)
    await accepted(store, draft(queue="waiting"), draft(queue="held"))
    await granted(store, claim(queue="held"))

    lines = {line.name: line for line in (await store.census()).queues}

    assert list(lines) == ["held", "named", "paused", "waiting"]
    assert [name for name, line in lines.items() if line.paused] == ["paused"]
    assert {name: line.waiting for name, line in lines.items()} == {"held": 0, "named": 0, "paused": 0, "waiting": 1}
    assert [name for name, line in lines.items() if line.oldest_age is not None] == ["waiting"]


async def test_the_census_of_a_store_that_is_new_is_empty(store: SqlStore) -> None:
    census = await store.census()

    assert (census.queues, census.held, census.timed, census.crews) == ((), {}, {}, ())
    assert (census.debts, census.oldest_debt, census.deliveries) == (0, timedelta(0), 0)
