import json
from typing import Any

from tests.unit.cli.conftest import Backhaul
from tests.unit.client.records import TIME
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway


def endpoint(**changed: Any) -> dict[str, Any]:
    whole = {
        "id": "whe_1",
        "url": "https://shop.example/hooks",
        "events": ["task.failed"],
        "description": "orders",
        "enabled": True,
        "disabled_reason": None,
        "created_at": TIME,
        "old_secret_until": None,
    }
    return {**whole, **changed}


def delivery(**changed: Any) -> dict[str, Any]:
    attempts = [{"at": TIME, "status": 500, "error": "no\x1b[31m room", "duration_ms": 12}]
    whole = {
        "id": "whd_1",
        "event": "task.failed",
        "task_id": "tsk_1",
        "endpoint_id": "whe_1",
        "url": "https://shop.example/hooks",
        "attempts": attempts,
        "state": "failed",
        "next_at": None,
        "created_at": TIME,
    }
    return {**whole, **changed}


def page(*items: object) -> Reply:
    return Reply(body={"data": list(items), "next_cursor": None})


def test_endpoints_are_a_table(backhaul: Backhaul) -> None:
    gone = endpoint(id="whe_2", enabled=False, disabled_reason="gone", description=None)
    with ScriptedGateway(page(endpoint(), gone)) as gateway:
        finished = backhaul("webhooks", "--url", gateway.url)

    header, first, second = finished.out.splitlines()
    assert (finished.code, finished.err) == (0, "")
    assert header.split() == ["id", "state", "url", "events", "description"]
    assert first.split() == ["whe_1", "enabled", "https://shop.example/hooks", "task.failed", "orders"]
    assert second.split() == ["whe_2", "gone", "https://shop.example/hooks", "task.failed"]


def test_without_endpoints_a_sentence_says_what_to_do(backhaul: Backhaul) -> None:
    with ScriptedGateway(page()) as gateway:
        finished = backhaul("webhooks", "--url", gateway.url)

    assert finished.out == "no endpoint is there: `backhaul webhooks add` makes one\n"


def test_of_what_is_added_the_secret_alone_is_on_the_standard_output(backhaul: Backhaul) -> None:
    made = endpoint(secret="whsec_new", events=["task.started", "task.failed"])
    with ScriptedGateway(Reply(201, body=made)) as gateway:
        finished = backhaul(
            *("webhooks", "add", made["url"], "--event", "task.started", "--event", "task.failed"),
            *("--description", "orders", "--url", gateway.url),
        )

    assert finished.out == "whsec_new\n"
    assert finished.err.startswith("whe_1 gets task.started task.failed at https://shop.example/hooks.")
    assert gateway.requests[0].body == {
        "url": made["url"],
        "events": ["task.started", "task.failed"],
        "description": "orders",
    }


def test_a_new_secret_is_shown_and_how_long_the_old_one_signs_along(backhaul: Backhaul) -> None:
    along, alone = endpoint(secret="whsec_1", old_secret_until=TIME), endpoint(secret="whsec_2")
    with ScriptedGateway(Reply(body=along), Reply(body=alone)) as gateway:
        first = backhaul("webhooks", "rotate-secret", "whe_1", "--url", gateway.url)
        second = backhaul("webhooks", "rotate-secret", "whe_1", "--overlap", "0s", "--url", gateway.url)

    assert (first.out, second.out) == ("whsec_1\n", "whsec_2\n")
    assert "the old one signs along until 20" in first.err
    assert "the old one is void" in second.err
    assert [request.body for request in gateway.requests] == [{"overlap": "24h"}, {"overlap": "0s"}]


def test_endpoints_are_disabled_enabled_tested_and_removed(backhaul: Backhaul) -> None:
    replies = (Reply(body=endpoint(enabled=False)), Reply(body=endpoint()), Reply(202, body=delivery()), Reply(204))
    with ScriptedGateway(*replies) as gateway:
        said = [
            backhaul("webhooks", command, "whe_1", "--url", gateway.url).out.strip()
            for command in ("disable", "enable", "test", "remove")
        ]

    assert said[:2] == ["whe_1 is disabled", "whe_1 is enabled"]
    assert said[2].startswith("whd_1 is on its way: ")
    assert said[3] == "whe_1 is removed"
    assert [request.method for request in gateway.requests] == ["PATCH", "PATCH", "POST", "DELETE"]


def test_what_was_sent_is_a_table_in_which_a_receiver_cannot_paint(backhaul: Backhaul) -> None:
    with ScriptedGateway(page(delivery()), page(delivery(attempts=[], state="pending"))) as gateway:
        shown = backhaul("webhooks", "deliveries", "whe_1", "--url", gateway.url)
        of_task = backhaul("webhooks", "deliveries", "tsk_1", "--json", "--url", gateway.url)

    header, row = shown.out.splitlines()
    assert header.split() == ["id", "event", "task", "state", "tries", "last", "answer", "sent", "to"]
    assert row.split()[:5] == ["whd_1", "task.failed", "tsk_1", "failed", "1"]
    assert "500" in row
    assert "\x1b" not in shown.out
    assert json.loads(of_task.out)[0]["state"] == "pending"
    assert [request.path for request in gateway.requests] == [
        "/v1/webhook-endpoints/whe_1/deliveries",
        "/v1/tasks/tsk_1/deliveries",
    ]
