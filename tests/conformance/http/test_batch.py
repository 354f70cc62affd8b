"""`POST /v1/tasks/batch`."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.deadlines import Deadline
from backhaul.gateway import patience
from backhaul_contracts.problems import Problem
from tests.conformance.http.stage import Stage, body


async def test_valid_tasks_are_accepted_and_bad_ones_named(stage: Stage) -> None:
    tasks = [
        body(metadata={"n": "0"}),
        body(kind="digest.sumarise"),
        body(metadata={"n": "2"}),
        body(input={"text": 5}),
        "no task",
    ]

    answer = await stage.http.post("/v1/tasks/batch", json={"tasks": tasks})

    assert answer.status_code == 202
    assert [task["metadata"] for task in answer.json()["tasks"]] == [{"n": "0"}, {"n": "2"}]
    errors = {error["index"]: Problem.model_validate(error["error"]) for error in answer.json()["errors"]}
    assert {index: error.code for index, error in errors.items()} == {
        1: "unknown_kind",
        3: "invalid_input",
        4: "invalid_input",
    }
    assert errors[3].errors[0].pointer == "/tasks/3/input/text"


async def test_one_key_twice_in_a_batch_is_one_task(stage: Stage) -> None:
    tasks = [body(key="a"), body(key="a"), body(key="a", input={"text": "Two."})]

    answer = await stage.http.post("/v1/tasks/batch", json={"tasks": tasks})

    first, second = answer.json()["tasks"]
    (error,) = answer.json()["errors"]
    assert first["id"] == second["id"]
    assert (error["index"], error["error"]["code"]) == (2, "idempotency_key_reused")


async def test_a_batch_may_hold_1000_tasks(stage: Stage) -> None:
    answer = await stage.http.post("/v1/tasks/batch", json={"tasks": [body()] * 1000})

    assert len({task["id"] for task in answer.json()["tasks"]}) == 1000


@pytest.mark.parametrize("tasks", [[], [1] * 1001, {}, None])
async def test_a_batch_has_1_to_1000_tasks(stage: Stage, tasks: object) -> None:
    answer = await stage.http.post("/v1/tasks/batch", json={"tasks": tasks})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["errors"][0]["pointer"] == "/tasks"


async def test_a_batch_has_no_key_of_its_own(stage: Stage) -> None:
    answer = await stage.http.post("/v1/tasks/batch", json={"tasks": [body()]}, headers={"Idempotency-Key": "a"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_while_a_batch_is_checked_others_have_their_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    turn, checked, draft = 0, Counter[int](), stage.gateway.acceptance.draft

    async def counted(*submission: Any) -> Any:
        checked[turn] += 1
        return await draft(*submission)

    async def take_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(stage.gateway.acceptance, "draft", counted)
    other = asyncio.create_task(take_turns())
    answer = await stage.http.post("/v1/tasks/batch", json={"tasks": [body(kind="digest.sumarise")] * 100})
    other.cancel()

    assert len(answer.json()["errors"]) == checked.total() == 100
    assert max(checked.values()) <= 10


async def test_a_batch_that_asks_the_store_for_much_takes_its_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent_id = (await stage.submit())["id"]
    snapshot = stage.store.snapshot

    async def slow(*task: Any) -> Any:
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, passed.set)
        await passed.wait()
        return await snapshot(*task)

    monkeypatch.setattr(stage.store, "snapshot", slow)
    monkeypatch.setattr(patience, "STORE_PATIENCE", Deadline(timedelta(milliseconds=500)))

    answer = await stage.http.post("/v1/tasks/batch", json={"tasks": [body(parent_id=parent_id)] * 20})

    assert (answer.status_code, len(answer.json()["tasks"])) == (202, 20)
