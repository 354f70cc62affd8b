import json
from typing import Any

from backhaul_contracts.problems import ProblemCode
from tests.unit.cli.conftest import Backhaul
from tests.unit.client.records import TASK_ID, TIME
from tests.unit.client.scripted_gateway import Reply, ScriptedGateway, refusal

ID = "dl_i0123456789abcdef0123456789abcdef"


def letter(**changed: Any) -> dict[str, Any]:
    whole = {
        "id": ID,
        "queue": "backhaul.invalid",
        "reason": "unknown_kind",
        "detail": "No service\nknows it.",
        "task_id": None,
        "exchange": "backhaul.submit",
        "routing_key": "digest.summarise",
        "headers": {"bh-reason": "unknown_kind"},
        "body": {"text": "One."},
        "body_encoding": "json",
        "body_size": 16,
        "body_truncated": False,
        "content_type": "application/json",
        "message_id": "order-17",
        "received_at": TIME,
    }
    return {**whole, **changed}


def page(*letters: object, cursor: str | None = None) -> Reply:
    return Reply(body={"data": list(letters), "next_cursor": cursor})


def test_dead_letters_are_a_table_with_one_line_each(backhaul: Backhaul) -> None:
    token = letter(id="dl_u0", reason="unrouted", task_id=TASK_ID, received_at=None)
    with ScriptedGateway(page(letter(), token)) as gateway:
        finished = backhaul("dead-letters", "--url", gateway.url)

    header, first, second = finished.out.splitlines()
    assert (finished.code, finished.err) == (0, "")
    assert header.split() == ["id", "queue", "reason", "sent", "to", "task", "came", "detail"]
    for part in (ID, "invalid", "unknown_kind", "backhaul.submit digest.summarise", "No service knows it."):
        assert part in first
    assert TASK_ID in second


def test_dead_letters_are_filtered_by_the_gateway_and_fetched_page_by_page(backhaul: Backhaul) -> None:
    with ScriptedGateway(page(letter(), cursor="c1"), page(letter())) as gateway:
        options = ["--queue", "backhaul.invalid", "--reason", "unknown_kind", "-n", "5", "--json"]
        finished = backhaul("dead-letters", *options, "--url", gateway.url)

    assert [found["id"] for found in json.loads(finished.out)] == [ID, ID]
    asked = {"queue": ["backhaul.invalid"], "reason": ["unknown_kind"]}
    assert [request.query for request in gateway.requests] == [
        {**asked, "limit": ["5"]},
        {**asked, "limit": ["4"], "cursor": ["c1"]},
    ]


def test_no_dead_letters_are_a_sentence(backhaul: Backhaul) -> None:
    with ScriptedGateway(page()) as gateway:
        finished = backhaul("dead-letters", "--url", gateway.url)

    assert (finished.code, finished.out) == (0, "no dead letter is there\n")


def test_a_dead_letter_is_shown_with_headers_and_body(backhaul: Backhaul) -> None:
    text = letter(body="\x1b[2J{broken", body_encoding="text", content_type=None)
    with ScriptedGateway(Reply(body=letter()), Reply(body=text)) as gateway:
        whole = backhaul("dead-letters", "show", ID, "--url", gateway.url).out
        broken = backhaul("dead-letters", "show", ID, "--url", gateway.url).out

    for part in (
        ID,
        "unknown_kind",
        "backhaul.submit, key digest.summarise",
        "order-17",
        '"text": "One."',
        "bh-reason",
    ):
        assert part in whole
    assert "body (text)" in broken
    assert "\x1b" not in broken


def test_a_replay_says_where_the_message_goes(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(202, letter())) as gateway:
        finished = backhaul("dead-letters", "replay", ID, "--url", gateway.url)

    sentence = f"{ID} is sent to backhaul.submit with the key digest.summarise again\n"
    assert (finished.code, finished.out) == (0, sentence)
    assert (gateway.requests[0].method, gateway.requests[0].path) == ("POST", f"/v1/dead-letters/{ID}/replay")


def test_a_letter_that_cannot_be_replayed_is_one_line(backhaul: Backhaul) -> None:
    with ScriptedGateway(refusal(ProblemCode.NOT_REPLAYABLE, "No queue takes it.")) as gateway:
        finished = backhaul("dead-letters", "replay", ID, "--url", gateway.url)

    assert (finished.code, finished.err) == (1, "backhaul: No queue takes it\n")


def test_a_letter_is_deleted(backhaul: Backhaul) -> None:
    with ScriptedGateway(Reply(204)) as gateway:
        finished = backhaul("dead-letters", "delete", ID, "--url", gateway.url)

    assert (finished.code, finished.out) == (0, f"{ID} is deleted\n")
    assert (gateway.requests[0].method, gateway.requests[0].path) == ("DELETE", f"/v1/dead-letters/{ID}")
