import json

from backhaul_contracts.problems import ProblemCode
from tests.unit.cli.conftest import Backhaul
from tests.unit.client.records import TASK_ID, task
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway, refusal

OTHER = "tsk_01kz0000000000000000000001"


def test_a_cancel_says_how_far_it_is(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(body=task("running")), Reply(202, task("cancelling"))) as gateway:
        finished = backhaul("cancel", TASK_ID, "--reason", "too late", "--grace", "5s", "--url", gateway.url)

    assert (finished.code, finished.out) == (0, f"{TASK_ID} is cancelling\n")
    assert gateway.requests[1].body == {"reason": "too late", "grace": "5s"}


def test_a_retry_runs_the_task_once_more(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(body=task("failed")), Reply(202, task("queued"))) as gateway:
        finished = backhaul("retry", TASK_ID, "--json", "--url", gateway.url)

    assert (finished.code, json.loads(finished.out)["status"]) == (0, "queued")


def test_a_task_that_cannot_be_retried_is_one_line(backhaul: Backhaul) -> None:
    no = refusal(ProblemCode.NOT_RETRYABLE, "it is running")
    with ScriptedGateway(Reply(body=task("running")), no) as gateway:
        finished = backhaul("retry", TASK_ID, "--url", gateway.url)

    assert (finished.code, finished.err) == (1, "backhaul: it is running\n")


def test_a_replay_prints_the_id_of_the_new_task(backhaul: Backhaul) -> None:
    again = Reply(202, task(id=OTHER))
    script = Reply(body=task("succeeded")), again, Reply(body=task("succeeded")), again
    with ScriptedGateway(*script) as gateway:
        same = backhaul("replay", TASK_ID, "--url", gateway.url)
        changed = backhaul("replay", TASK_ID, "null", "--url", gateway.url)

    assert (same.out, changed.out) == (f"{OTHER}\n", f"{OTHER}\n")
    assert [gateway.requests[1].body, gateway.requests[3].body] == [{}, {"input": None}]
