"""Pages of the JSON log of a task that moves on while a page is put together."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backhaul.core.task.record import Event
from backhaul_contracts.ids import TaskId
from tests.conformance.http.stage import Stage
from tests.unit.gateway.fakes import FakeStore

JSON = {"Accept": "application/json"}


def just_before_the_log_is_read(
    monkeypatch: pytest.MonkeyPatch, store: FakeStore, act: Callable[[], Awaitable[object]]
) -> None:
    """The task itself has been read by then."""
    read = store.events

    async def events(task_id: TaskId, after: int, limit: int) -> list[Event]:
        await act()
        return await read(task_id, after, limit)

    monkeypatch.setattr(store, "events", events)


async def page(stage: Stage, task_id: str) -> Any:
    return (await stage.http.get(f"/v1/tasks/{task_id}/events", headers=JSON)).json()


async def test_a_log_that_goes_on_with_a_retry_is_not_done(
    stage: Stage, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = (await stage.submit())["id"]
    await stage.http.post(f"/v1/tasks/{task_id}/cancel")
    just_before_the_log_is_read(monkeypatch, store, lambda: stage.http.post(f"/v1/tasks/{task_id}/retry"))

    shown = await page(stage, task_id)

    assert shown["data"][-1]["type"] == "task.queued"
    assert (shown["next_after"], shown["done"]) == (4, False)


async def test_a_log_that_has_just_come_to_its_end_is_done(
    stage: Stage, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = (await stage.submit())["id"]
    just_before_the_log_is_read(monkeypatch, store, lambda: stage.http.post(f"/v1/tasks/{task_id}/cancel"))

    shown = await page(stage, task_id)

    assert shown["data"][-1]["type"] == "task.cancelled"
    assert (shown["next_after"], shown["done"]) == (3, True)
