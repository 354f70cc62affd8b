"""Dead letters over HTTP: listed with their reason, replayed, deleted."""

import asyncio
import json
import random
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from backhaul.broker.memory import Faults, MemoryBroker
from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.messages import topology
from backhaul.core.messages.announcements import token_message
from backhaul.core.messages.deadletters import set_aside, shown_headers
from backhaul.core.ports.broker import Broker, Delivery, Message
from backhaul.core.ports.dispatch import Token
from backhaul.core.task.transitions import Rules
from backhaul.store import open_store
from backhaul.testing import ManualClock
from backhaul_contracts.ids import new_task_id
from tests.conformance.http.stage import KIND, Stage, staged

URL = "/v1/dead-letters"


def submission(body: bytes = b'{"text": "One."}', **properties: Any) -> Message:
    values = {
        "exchange": topology.SUBMIT,
        "routing_key": KIND.kind,
        "content_type": "application/json",
        "message_id": "order-17",
        **properties,
    }
    return Message(body=body, **values)


@pytest.fixture(params=["memory", "rabbit"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """The same on both brokers."""
    stage: Stage = request.getfixturevalue(f"{request.param}_stage")
    return stage


@pytest.fixture
async def memory_stage() -> AsyncIterator[Stage]:
    async with prepared(MemoryBroker()) as stage:
        yield stage


@pytest.fixture
async def rabbit_stage(amqp_url: str) -> AsyncIterator[Stage]:
    async with prepared(RabbitBroker(amqp_url, name="stage")) as stage:
        yield stage


@asynccontextmanager
async def prepared(broker: Broker) -> AsyncIterator[Stage]:
    clock = ManualClock()
    store = open_store("sqlite:///:memory:", clock=clock, rules=Rules(retention=timedelta(days=1), draw=random.random))
    await store.start()
    await broker.start()
    await broker.declare(topology.platform(1))
    async with staged(store, broker, clock) as stage:
        yield stage
    await broker.stop()
    await store.stop()


async def received(stage: Stage, queue: str) -> Delivery:
    """The first message in a queue, as soon as it is there."""
    async with asyncio.timeout(5):
        while not (found := await stage.broker.get(queue, 1)):
            await asyncio.sleep(0.01)
    return found[0]


async def letter(
    stage: Stage, message: Message | None = None, reason: str = "unknown_kind", detail: str = "No service knows it."
) -> None:
    """Let a submission be set aside, as the ledger does it."""
    await stage.broker.publish([message or submission()])
    delivery = await received(stage, topology.SUBMIT)
    stage.clock.advance(timedelta(seconds=1))
    await stage.broker.publish([set_aside(delivery, topology.INVALID, reason, detail, stage.clock.now())])
    delivery.ack()


async def listed(stage: Stage, **query: Any) -> list[dict[str, Any]]:
    answer = await stage.http.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def only(stage: Stage) -> dict[str, Any]:
    [found] = await listed(stage)
    return found


@dataclass
class Vouched:
    """A delivery whose publisher the broker has vouched for, as RabbitMQ does it."""

    delivery: Delivery
    user_id: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.delivery, name)


@pytest.mark.parametrize(("user", "status"), [("blue", 409), ("default", 202)])
async def test_no_replay_gives_the_task_of_one_tenant_to_another(memory_stage: Stage, user: str, status: int) -> None:
    stage = memory_stage
    await stage.broker.publish([submission()])
    vouched = cast("Delivery", Vouched(await received(stage, topology.SUBMIT), user))
    await stage.broker.publish([set_aside(vouched, topology.INVALID, "unknown_kind", "None.", stage.clock.now())])

    found = await only(stage)
    answer = await stage.http.post(f"{URL}/{found['id']}/replay")

    assert found["headers"]["bh-user-id"] == user
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["code"] == "not_replayable"
        assert "'blue'" in answer.json()["detail"]
        assert len(await listed(stage)) == 1


async def test_without_dead_letters_the_list_is_empty(stage: Stage) -> None:
    answer = await stage.http.get(URL)

    assert (answer.status_code, answer.json()) == (200, {"data": [], "next_cursor": None, "unseen": 0})


async def test_a_letter_says_what_it_is_why_it_is_there_and_where_it_was_sent_to(stage: Stage) -> None:
    await letter(stage, submission(headers={"traceparent": "00-1", "n": 7}), detail="No service knows it: start one.")

    found = await only(stage)

    assert found.pop("id").startswith("dl_")
    assert found.pop("received_at").endswith("Z")
    headers = found.pop("headers")
    assert {"traceparent": "00-1", "n": 7, "bh-reason": "unknown_kind"}.items() <= headers.items()
    assert found == {
        "queue": "backhaul.invalid",
        "reason": "unknown_kind",
        "detail": "No service knows it: start one.",
        "task_id": None,
        "exchange": "backhaul.submit",
        "routing_key": KIND.kind,
        "body": {"text": "One."},
        "body_encoding": "json",
        "body_size": 16,
        "body_truncated": False,
        "content_type": "application/json",
        "message_id": "order-17",
    }


@pytest.mark.parametrize(
    ("body", "shown", "encoding"),
    [
        (b"[1, 2]", [1, 2], "json"),
        (b'"text"', "text", "json"),
        ("no JSON: \N{SNOWMAN}\n".encode(), "no JSON: \N{SNOWMAN}\n", "text"),
        (b"", "", "text"),
        (b"NaN", "NaN", "text"),
        (b"\x00\x01", "AAE=", "base64"),
        (b"\xff\xfe", "//4=", "base64"),
    ],
)
async def test_a_body_is_json_or_text_or_base64_and_says_which(
    stage: Stage, body: bytes, shown: Any, encoding: str
) -> None:
    await letter(stage, submission(body))

    found = await only(stage)

    assert (found["body"], found["body_encoding"], found["body_size"]) == (shown, encoding, len(body))


async def test_a_list_cuts_long_bodies_and_the_letter_itself_does_not(stage: Stage) -> None:
    text = "\N{SNOWMAN}" * 20_000
    await letter(stage, submission(json.dumps(text, ensure_ascii=False).encode()))
    await letter(stage, submission(b"\xff" * 50_000))

    binary, cut = await listed(stage)
    whole = (await stage.http.get(f"{URL}/{cut['id']}")).json()

    assert (cut["body_encoding"], cut["body_truncated"], cut["body_size"]) == ("text", True, 60_002)
    assert cut["body"].startswith('"\N{SNOWMAN}')
    assert len(cut["body"].encode()) <= 16 * 1024
    assert len(b64decode(binary["body"])) == 16 * 1024
    assert (whole["body"], whole["body_encoding"], whole["body_truncated"]) == (text, "json", False)


async def test_letters_come_newest_first_whatever_their_queue_and_pages_follow_each_other(stage: Stage) -> None:
    for number in range(5):
        await letter(stage, submission(b"%d" % number))
        stage.clock.advance(timedelta(seconds=1))
        dead = submission(b"%d" % (number + 100))
        await stage.broker.publish([dead])
        delivery = await received(stage, topology.SUBMIT)
        await stage.broker.publish([set_aside(delivery, topology.DEAD, "internal", "", stage.clock.now())])
        delivery.ack()

    shown, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await stage.http.get(URL, params=query)).json()
        shown += [found["body"] for found in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert shown == [104, 4, 103, 3, 102, 2, 101, 1, 100, 0]


async def test_a_page_goes_on_where_the_last_one_ended_though_letters_have_gone_and_come(stage: Stage) -> None:
    for number in range(4):
        await letter(stage, submission(b"%d" % number))
    first = (await stage.http.get(URL, params={"limit": 2})).json()
    for found in first["data"]:
        await stage.http.delete(f"{URL}/{found['id']}")
    await letter(stage, submission(b"9"))

    second = await listed(stage, limit=2, cursor=first["next_cursor"])

    assert [found["body"] for found in second] == [1, 0]


async def test_a_list_is_filtered_by_queue_and_reason(stage: Stage) -> None:
    await letter(stage, reason="unknown_kind")
    await letter(stage, reason="malformed_json")

    assert [found["reason"] for found in await listed(stage, reason="malformed_json")] == ["malformed_json"]
    assert await listed(stage, queue="backhaul.dead") == []
    assert len(await listed(stage, queue="backhaul.invalid")) == 2


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1001"}, {"queue": "backhaul.submit"}, {"cursor": "x"}, {"reasons": "x"}]
)
async def test_a_question_that_cannot_be_read_is_refused(stage: Stage, query: dict[str, str]) -> None:
    answer = await stage.http.get(URL, params=query)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_an_expired_submission_is_listed_as_the_broker_left_it(stage: Stage) -> None:
    await stage.broker.publish([submission(expiration=timedelta(milliseconds=1))])

    async with asyncio.timeout(5):
        while not (found := await listed(stage)):
            await asyncio.sleep(0.01)

    [expired] = found
    assert (expired["queue"], expired["reason"]) == ("backhaul.invalid", "expired")
    assert (expired["exchange"], expired["routing_key"]) == ("backhaul.submit", KIND.kind)
    assert expired["detail"] == "Nobody took it from backhaul.submit within 0.001 s."
    assert expired["received_at"] is not None


async def test_a_token_that_no_queue_takes_is_listed_with_its_task_and_cannot_be_replayed_yet(stage: Stage) -> None:
    task_id = new_task_id()
    await stage.broker.publish([token_message(Token("nowhere", task_id))])

    found = await only(stage)
    answer = await stage.http.post(f"{URL}/{found['id']}/replay")

    assert (found["queue"], found["reason"], found["task_id"]) == ("backhaul.unrouted", "unrouted", task_id)
    assert (found["exchange"], found["routing_key"]) == ("backhaul.tasks", "nowhere")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_replayable")
    assert await only(stage) == found


async def test_a_token_is_replayed_once_its_queue_is_there(stage: Stage) -> None:
    await stage.broker.publish([token_message(Token("later", new_task_id()))])
    found = await only(stage)
    await stage.broker.declare(topology.task_queues(["later"]))

    answer = await stage.http.post(f"{URL}/{found['id']}/replay")

    assert (answer.status_code, answer.json()) == (202, found)
    assert await stage.broker.ready("backhaul.tasks.later") == 1
    assert await listed(stage) == []


async def test_a_replay_sends_the_message_as_it_was_first(stage: Stage) -> None:
    sent = submission(
        headers={"traceparent": "00-1", "list": [1]},
        correlation_id="c",
        reply_to="me",
        priority=3,
        expiration=timedelta(minutes=5),
        type="t",
    )
    await letter(stage, sent)
    found = await only(stage)

    answer = await stage.http.post(f"{URL}/{found['id']}/replay")

    assert answer.status_code == 202
    again = await received(stage, topology.SUBMIT)
    assert (again.exchange, again.routing_key, again.body) == (sent.exchange, sent.routing_key, sent.body)
    assert shown_headers(again) == dict(sent.headers)
    properties = ("content_type", "message_id", "correlation_id", "reply_to", "priority", "expiration", "type")
    assert [getattr(again, name) for name in properties] == [getattr(sent, name) for name in properties]
    assert await listed(stage) == []


async def test_what_expired_is_replayed_without_its_expiration(stage: Stage) -> None:
    await stage.broker.publish([submission(expiration=timedelta(milliseconds=1))])
    async with asyncio.timeout(5):
        while not (found := await listed(stage)):
            await asyncio.sleep(0.01)

    await stage.http.post(f"{URL}/{found[0]['id']}/replay")

    again = await received(stage, topology.SUBMIT)
    assert (again.expiration, shown_headers(again)) == (None, {})


async def test_a_message_that_tells_nothing_of_itself_can_only_be_deleted(stage: Stage) -> None:
    await stage.broker.publish([submission(exchange="", routing_key=topology.DEAD)])
    found = await only(stage)

    replay = await stage.http.post(f"{URL}/{found['id']}/replay")
    delete = await stage.http.delete(f"{URL}/{found['id']}")

    assert found["reason"] == "unknown"
    assert (replay.status_code, replay.json()["code"], delete.status_code) == (409, "not_replayable", 204)
    assert await listed(stage) == []


async def test_a_deleted_letter_is_gone_and_no_other(stage: Stage) -> None:
    for number in range(3):
        await letter(stage, submission(b"%d" % number))
    _, middle, _ = await listed(stage)

    answer = await stage.http.delete(f"{URL}/{middle['id']}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert [found["body"] for found in await listed(stage)] == [2, 0]
    assert (await stage.http.delete(f"{URL}/{middle['id']}")).status_code == 404


async def test_letters_that_are_equal_have_ids_of_their_own(stage: Stage) -> None:
    twin = token_message(Token("later", new_task_id()))
    await stage.broker.publish([twin, twin, twin])
    ids = [found["id"] for found in await listed(stage)]

    answer = await stage.http.delete(f"{URL}/{ids[1]}")

    assert len(set(ids)) == 3
    assert answer.status_code == 204
    assert len(await listed(stage)) == 2


async def test_ids_stay_the_same_from_look_to_look(stage: Stage) -> None:
    for number in range(10):
        await letter(stage, submission(b"%d" % number))

    first, second = await listed(stage), await listed(stage)

    assert first == second


@pytest.mark.parametrize("letter_id", ["dl_i0123", "dl_x0123", "nonsense", "dl_"])
async def test_an_unknown_letter_is_not_found(stage: Stage, letter_id: str) -> None:
    answers = [
        await stage.http.get(f"{URL}/{letter_id}"),
        await stage.http.post(f"{URL}/{letter_id}/replay"),
        await stage.http.delete(f"{URL}/{letter_id}"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 3


async def test_while_the_broker_is_down_every_call_is_unavailable_and_nothing_is_lost(memory_stage: Stage) -> None:
    stage = memory_stage
    assert isinstance(stage.broker, MemoryBroker)
    await letter(stage)
    found = await only(stage)
    stage.broker.hub.down()

    answers = [
        await stage.http.get(URL),
        await stage.http.post(f"{URL}/{found['id']}/replay"),
        await stage.http.delete(f"{URL}/{found['id']}"),
    ]

    stage.broker.hub.up()
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "unavailable")] * 3
    assert all(answer.headers["retry-after"] for answer in answers)
    assert await only(stage) == found


async def test_a_replay_that_the_broker_does_not_confirm_leaves_the_letter_where_it_is(memory_stage: Stage) -> None:
    stage = memory_stage
    assert isinstance(stage.broker, MemoryBroker)
    await letter(stage)
    found = await only(stage)
    stage.broker.hub.faults = Faults(drop=1)

    answer = await stage.http.post(f"{URL}/{found['id']}/replay")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await only(stage) == found


async def test_of_two_who_replay_a_letter_at_once_one_does_it(stage: Stage) -> None:
    await letter(stage)
    found = await only(stage)

    answers = await asyncio.gather(*(stage.http.post(f"{URL}/{found['id']}/replay") for _ in range(2)))

    assert sorted(answer.status_code for answer in answers) == [202, 404]
    await received(stage, topology.SUBMIT)
    assert await stage.broker.get(topology.SUBMIT, 1) == []


async def test_dead_letters_make_nobody_unready(stage: Stage) -> None:
    await letter(stage)

    assert (await stage.http.get("/readyz")).status_code == 200
