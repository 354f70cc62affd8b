"""Queues over HTTP: listed, paused and resumed."""

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.messages import topology
from backhaul_contracts.beats import Beat
from backhaul_contracts.claims import Capacity, Claim, Verdict
from backhaul_contracts.ids import new_id
from tests.conformance.http.stage import KIND, LEASE, Stage

TOKENS = topology.task_queue(KIND.queue)


async def verdict(stage: Stage) -> Verdict:
    """How a claim on the queue is answered."""
    capacity = Capacity(kind=KIND.kind, version=KIND.version, count=1)
    claim = Claim(claim_id=new_id("clm"), worker_id="wrk_1", queue=KIND.queue, limit=1, capacities=[capacity])
    beat = Beat(worker_id="wrk_1", number=1, service="digest", version="1", slots=1, running=0, held=[])
    await stage.store.beat([beat], LEASE)
    [granted], _ = await stage.store.claim([claim], LEASE)
    assert granted is not None
    return granted.verdict


async def drop_tokens(stage: Stage) -> None:
    """What workers do with tokens of a paused queue."""
    for delivery in await stage.broker.get(TOKENS, 100):
        delivery.ack()


async def test_queues_are_listed(stage: Stage) -> None:
    await stage.submit()

    answer = await stage.http.get("/v1/queues")

    [queue] = answer.json()["data"]
    assert answer.json()["next_cursor"] is None
    assert queue.pop("oldest_age") >= 0
    assert queue == {"name": "digest", "waiting": 1, "running": 0, "rate": 0.0, "paused": False}


async def test_a_paused_queue_grants_nothing_and_takes_submits_until_it_is_resumed(stage: Stage) -> None:
    paused = await stage.http.post("/v1/queues/digest/pause")
    await stage.submit()
    while_paused = await verdict(stage)
    listed = (await stage.http.get("/v1/queues")).json()["data"][0]
    resumed = await stage.http.post("/v1/queues/digest/resume")

    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    assert (while_paused, listed["paused"], listed["waiting"]) == (Verdict.PAUSED, True, 1)
    assert (resumed.status_code, resumed.json()["paused"]) == (200, False)
    assert await verdict(stage) == Verdict.GRANTED


async def test_pausing_and_resuming_may_be_repeated(stage: Stage) -> None:
    answers = [await stage.http.post(f"/v1/queues/digest/{verb}") for verb in ("pause", "pause", "resume", "resume")]

    assert [answer.json()["paused"] for answer in answers] == [True, True, False, False]


async def test_a_resumed_queue_has_tokens_for_what_waits(stage: Stage) -> None:
    await stage.http.post("/v1/queues/digest/pause")
    for _ in range(3):
        await stage.submit()
    await drop_tokens(stage)

    await stage.http.post("/v1/queues/digest/resume")

    assert await stage.broker.ready(TOKENS) == 3


async def test_a_task_whose_token_is_dropped_while_its_queue_is_being_resumed_gets_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.http.post("/v1/queues/digest/pause")
    set_paused = stage.store.set_paused

    async def late(queue: str, paused: bool) -> None:
        await stage.submit()
        await drop_tokens(stage)
        await set_paused(queue, paused)

    monkeypatch.setattr(stage.store, "set_paused", late)
    await stage.http.post("/v1/queues/digest/resume")

    assert await stage.broker.ready(TOKENS) == 1


async def test_a_queue_is_resumed_though_the_broker_is_down(stage: Stage) -> None:
    assert isinstance(stage.broker, MemoryBroker)
    await stage.http.post("/v1/queues/digest/pause")
    await stage.submit()
    stage.broker.hub.down()

    answer = await stage.http.post("/v1/queues/digest/resume")

    assert (answer.status_code, answer.json()["paused"]) == (200, False)


async def test_an_unknown_queue_is_not_found_and_the_known_ones_are_named(stage: Stage) -> None:
    answer = await stage.http.post("/v1/queues/digset/pause")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "digest" in answer.json()["detail"]
