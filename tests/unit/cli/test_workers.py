import json

from backhaul_contracts.problems import ProblemCode
from tests.unit.cli.conftest import Backhaul
from tests.unit.client.records import WORKER
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway, refusal


def test_workers_are_a_table(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(body={"data": [WORKER], "next_cursor": None})) as gateway:
        finished = backhaul("workers", "--url", gateway.url)

    header, worker = finished.out.splitlines()
    assert (finished.code, finished.err) == (0, "")
    assert header.split()[0] == "id"
    assert worker.split()[:5] == ["wrk_1", "digest", "1.0.0", "ready", "3/20"]


def test_workers_are_json_for_programs(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(body={"data": [WORKER], "next_cursor": None})) as gateway:
        finished = backhaul("workers", "--json", "--url", gateway.url)

    assert [worker["id"] for worker in json.loads(finished.out)] == ["wrk_1"]


def test_a_worker_is_drained(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(202, body={**WORKER, "state": "draining"})) as gateway:
        finished = backhaul("workers", "drain", "wrk_1", "--url", gateway.url)

    assert (finished.code, finished.out) == (0, "worker wrk_1 is draining\n")
    assert [(request.method, request.path) for request in gateway.requests] == [("POST", "/v1/workers/wrk_1/drain")]


def test_a_worker_that_is_not_there_is_one_line(backhaul: Backhaul) -> None:
    with ScriptedGateway(refusal(ProblemCode.NOT_FOUND, "There is no worker 'wrk_9'.")) as gateway:
        finished = backhaul("workers", "drain", "wrk_9", "--url", gateway.url)

    assert (finished.code, finished.out) == (1, "")
    assert finished.err == "backhaul: There is no worker 'wrk_9'\n"
