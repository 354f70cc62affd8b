"""Workers over HTTP: listed, and drained."""

from backhaul_contracts.beats import Beat
from tests.conformance.http.stage import LEASE, Stage


async def beating(stage: Stage, worker_id: str = "wrk_1") -> bool:
    """Whether the worker's beat is told to drain."""
    beat = Beat(worker_id=worker_id, number=1, service="digest", version="1", slots=1, running=0, held=[])
    [leases] = await stage.store.beat([beat], LEASE)
    return leases.drain


async def test_a_drained_worker_is_told_so_with_its_next_beat_and_no_other_is(stage: Stage) -> None:
    before = [await beating(stage, worker_id) for worker_id in ("wrk_1", "wrk_2")]

    answer = await stage.http.post("/v1/workers/wrk_1/drain")

    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (202, "wrk_1", "draining")
    assert (before, await beating(stage), await beating(stage, "wrk_2")) == ([False, False], True, False)
    listed = (await stage.http.get("/v1/workers")).json()["data"]
    assert {worker["id"]: worker["state"] for worker in listed} == {"wrk_1": "draining", "wrk_2": "ready"}
    assert (await stage.http.get("/v1/kinds/digest.summarise")).json()["workers"] == 1


async def test_draining_may_be_repeated(stage: Stage) -> None:
    await beating(stage)

    answers = [await stage.http.post("/v1/workers/wrk_1/drain") for _ in range(2)]

    assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(202, "draining")] * 2


async def test_an_unknown_worker_is_not_found(stage: Stage) -> None:
    answer = await stage.http.post("/v1/workers/wrk_9/drain")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
