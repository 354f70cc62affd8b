from datetime import UTC, datetime

from backhaul.client import AsyncClient
from tests.unit.client.records import WORKER, task
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway


def ids(count: int, first: int = 0) -> list[str]:
    return [f"tsk_01kz{number:022d}" for number in range(first, first + count)]


def page(task_ids: list[str], cursor: str | None = None) -> Reply:
    return Reply(body={"data": [task(id=task_id) for task_id in task_ids], "next_cursor": cursor})


async def test_a_list_goes_through_all_pages() -> None:
    with ScriptedGateway(page(ids(2), "c1"), page(ids(1, 2), "c2"), page([])) as gateway:
        async with AsyncClient(gateway.url) as client:
            found = [handle.id async for handle in client.list()]

    assert found == ids(3)
    assert [request.query.get("cursor") for request in gateway.requests] == [None, ["c1"], ["c2"]]


async def test_a_list_ends_at_its_limit_and_asks_for_no_more() -> None:
    with ScriptedGateway(page(ids(100), "c1"), page(ids(50, 100), "c2")) as gateway:
        async with AsyncClient(gateway.url) as client:
            found = [handle.id async for handle in client.list(limit=150)]

    assert len(found) == 150
    assert [request.query["limit"] for request in gateway.requests] == [["100"], ["50"]]


async def test_filters_are_told_as_the_api_names_them() -> None:
    with ScriptedGateway(page([])) as gateway:
        async with AsyncClient(gateway.url) as client:
            since = datetime(2026, 1, 31, 8, tzinfo=UTC)
            filters = client.list(
                status=["failed", "expired"], kind="a.b", key=None, created_after=since, metadata={"who": "me"}
            )
            found = [handle async for handle in filters]

    assert found == []
    assert gateway.requests[0].query == {
        "status": ["failed", "expired"],
        "kind": ["a.b"],
        "created_after": ["2026-01-31T08:00:00+00:00"],
        "metadata.who": ["me"],
        "limit": ["100"],
    }


async def test_kinds_tell_what_can_be_submitted() -> None:
    kind = {
        "kind": "digest.summarise",
        "service": "digest",
        "version": "1",
        "queue": "digest",
        "timeout": 600.0,
        "retry": {"max_attempts": 5, "base": 1.0, "cap": 300.0},
        "input_schema": {"type": "object"},
        "result_schema": {},
        "workers": 2,
        "something_new": True,
    }
    with ScriptedGateway(Reply(body={"data": [kind], "next_cursor": None})) as gateway:
        async with AsyncClient(gateway.url) as client:
            (info,) = await client.kinds()

    assert (info.kind, info.workers, info.timeout.total_seconds()) == ("digest.summarise", 2, 600)


async def test_workers_tell_who_does_the_work() -> None:
    with ScriptedGateway(Reply(body={"data": [WORKER], "next_cursor": None})) as gateway:
        async with AsyncClient(gateway.url) as client:
            (info,) = await client.workers()

    assert (info.id, info.running, info.state) == ("wrk_1", 3, "ready")
