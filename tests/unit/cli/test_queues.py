import json
from typing import Any

from tests.unit.cli.conftest import Backhaul
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway


def queue(**changed: Any) -> dict[str, Any]:
    whole = {"name": "digest", "waiting": 12, "running": 3, "oldest_age": 65.0, "rate": 0.25, "paused": False}
    return {**whole, **changed}


def page(*queues: object) -> Reply:
    return Reply(body={"data": list(queues), "next_cursor": None})


def test_queues_are_a_table(backhaul: Backhaul) -> None:
    idle = queue(name="idle", waiting=0, running=0, oldest_age=None, rate=0.0, paused=True)
    with ScriptedGateway(page(queue(), idle)) as gateway:
        finished = backhaul("queues", "--url", gateway.url)

    header, first, second = finished.out.splitlines()
    assert (finished.code, finished.err) == (0, "")
    assert header.split() == ["queue", "state", "waiting", "oldest", "running", "tasks/s"]
    assert first.split() == ["digest", "open", "12", "1", "min", "5", "s", "3", "0.25"]
    assert second.split() == ["idle", "paused", "0", "0", "0"]


def test_queues_are_json_for_programs(backhaul: Backhaul) -> None:
    with ScriptedGateway(page(queue())) as gateway:
        finished = backhaul("queues", "--json", "--url", gateway.url)

    assert json.loads(finished.out) == [queue()]


def test_without_queues_a_sentence_says_what_to_do(backhaul: Backhaul) -> None:
    with ScriptedGateway(page()) as gateway:
        finished = backhaul("queues", "--url", gateway.url)

    assert finished.out == "no service has announced a queue: start a worker\n"


def test_a_queue_is_paused_and_resumed(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(body=queue(paused=True)), Reply(body=queue())) as gateway:
        paused = backhaul("queues", "pause", "digest", "--url", gateway.url)
        resumed = backhaul("queues", "resume", "digest", "--url", gateway.url)

    assert paused.out == "queue digest is paused, 12 tasks wait in it\n"
    assert resumed.out == "queue digest is open, 12 tasks wait in it\n"
    assert [request.path for request in gateway.requests] == ["/v1/queues/digest/pause", "/v1/queues/digest/resume"]
