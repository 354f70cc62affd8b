import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import BaseModel

from backhaul.client import (
    AsyncClient,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unauthorized,
    UnexpectedAnswer,
)
from backhaul.core.errors import BackhaulError, ConfigurationError
from backhaul_contracts.problems import ProblemCode
from tests.support.ports import free_port
from tests.unit.client.records import TASK_ID, task
from tests.unit.client.scripted_gateway import Drop, Reply, ScriptedGateway, Silence, refusal

ACCEPTED = Reply(202, task())
BUSY = refusal(ProblemCode.UNAVAILABLE, "the store is down", headers={"Retry-After": "0"})


async def test_a_submitted_task_is_in_hand_with_its_record() -> None:
    with ScriptedGateway(ACCEPTED) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.submit("digest.summarise", {"text": "…"}, key="doc-17")

    assert (handle.id, handle.kind, handle.state.status) == (TASK_ID, "digest.summarise", "queued")
    assert gateway.requests[0].body == {"kind": "digest.summarise", "input": {"text": "…"}, "key": "doc-17"}


async def test_options_travel_as_fields_and_lengths_of_time_as_seconds() -> None:
    with ScriptedGateway(ACCEPTED) as gateway:
        async with AsyncClient(gateway.url) as client:
            await client.submit(
                "a.b",
                priority=5,
                delay=timedelta(minutes=1),
                timeout="10m",
                run_at=datetime(2026, 1, 31, 8, tzinfo=UTC),
                metadata={"who": "me"},
            )

    assert gateway.requests[0].body == {
        "kind": "a.b",
        "input": None,
        "priority": 5,
        "delay": 60.0,
        "timeout": "10m",
        "run_at": "2026-01-31T08:00:00Z",
        "metadata": {"who": "me"},
    }


async def test_models_and_dataclasses_are_inputs_as_they_are() -> None:
    class Document(BaseModel):
        text: str

    @dataclass
    class Page:
        number: int

    with ScriptedGateway(ACCEPTED, ACCEPTED) as gateway:
        async with AsyncClient(gateway.url) as client:
            await client.submit("a.b", Document(text="…"))
            await client.submit("a.b", Page(number=2**70))

    assert [request.body["input"] for request in gateway.requests] == [{"text": "…"}, {"number": 2**70}]


async def test_the_key_of_the_client_is_shown() -> None:
    with ScriptedGateway(ACCEPTED) as gateway:
        async with AsyncClient(gateway.url, api_key="bh_secret") as client:
            await client.submit("a.b")

    assert gateway.requests[0].headers["authorization"] == "Bearer bh_secret"


@pytest.mark.parametrize("mishap", [Drop(), Drop(reset=True), BUSY, Reply(502), Reply(504)])
async def test_a_submit_that_may_not_have_arrived_is_repeated_under_the_same_random_key(
    mishap: Drop | Reply,
) -> None:
    with ScriptedGateway(mishap, mishap, ACCEPTED, ACCEPTED) as gateway:
        async with AsyncClient(gateway.url) as client:
            await client.submit("a.b")
            await client.submit("a.b")

    keys = [request.headers["idempotency-key"] for request in gateway.requests]
    assert keys[0] == keys[1] == keys[2]
    assert keys[3] != keys[0]


@pytest.mark.parametrize("nonsense", ["soon", "-1", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"])
async def test_a_time_to_come_again_that_is_none_is_passed_over(nonsense: str) -> None:
    limited = refusal(ProblemCode.RATE_LIMITED, headers={"Retry-After": nonsense})
    with ScriptedGateway(limited, ACCEPTED) as gateway:
        async with AsyncClient(gateway.url) as client:
            await client.submit("a.b")

    assert len(gateway.requests) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_the_gateway_says_when_to_come_again(form: str) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=2)
    retry_after = "1" if form == "seconds" else format_datetime(moment, usegmt=True)
    limited = refusal(ProblemCode.RATE_LIMITED, headers={"Retry-After": retry_after})
    with ScriptedGateway(limited, ACCEPTED) as gateway:
        began = time.monotonic()
        async with AsyncClient(gateway.url) as client:
            await client.submit("a.b")

    assert time.monotonic() - began >= 0.9
    assert len(gateway.requests) == 2


async def test_a_refusal_that_outlasts_the_patience_is_raised_with_its_problem() -> None:
    busy = refusal(ProblemCode.UNAVAILABLE, "the store is down", headers={"Retry-After": "60"})
    with ScriptedGateway(busy) as gateway:
        async with AsyncClient(gateway.url) as client:
            with pytest.raises(Overloaded, match="the store is down") as caught:
                await client.submit("a.b")

    assert caught.value.problem.code == "unavailable"
    assert caught.value.retry_after == timedelta(seconds=60)


async def test_a_refusal_for_good_is_raised_at_once_and_names_each_fault() -> None:
    problem = {
        "type": "https://backhaul.dev/problems/invalid_input",
        "title": "The input is not valid",
        "status": 422,
        "code": "invalid_input",
        "errors": [{"pointer": "/input/text", "detail": "is missing"}, {"pointer": "", "detail": "is odd"}],
    }
    wrong = Reply(422, problem, {"Content-Type": "application/problem+json"})
    with ScriptedGateway(wrong) as gateway:
        async with AsyncClient(gateway.url) as client:
            with pytest.raises(InvalidRequest) as caught:
                await client.submit("a.b")

    assert str(caught.value) == "The input is not valid: /input/text: is missing; /: is odd"
    assert caught.value.problem.errors[0].pointer == "/input/text"
    assert len(gateway.requests) == 1


async def test_an_unknown_kind_is_not_found() -> None:
    with ScriptedGateway(refusal(ProblemCode.UNKNOWN_KIND, "do you mean digest.summarise?")) as gateway:
        async with AsyncClient(gateway.url) as client:
            with pytest.raises(NotFound, match="do you mean digest"):
                await client.submit("digest.sumarise")

    assert len(gateway.requests) == 1


async def test_where_nothing_listens_the_error_names_the_url_the_fact_and_the_remedy() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    async with AsyncClient(url, patience=0) as client:
        with pytest.raises(ConnectionFailed) as caught:
            await client.submit("a.b")

    assert isinstance(caught.value, BackhaulError)
    assert caught.value.sent is False
    assert str(caught.value) == (
        f"no gateway answers at {url} (connection refused): "
        "start one with `backhaul dev`, or set BACKHAUL_URL to where it is"
    )


async def test_where_no_tls_is_spoken_the_error_says_so() -> None:
    with ScriptedGateway() as gateway:
        async with AsyncClient(gateway.url.replace("http:", "https:"), patience=0) as client:
            with pytest.raises(ConnectionFailed, match=r"\(TLS failed: "):
                await client.submit("a.b")


async def test_a_request_that_must_not_be_repeated_is_not_when_it_may_have_arrived() -> None:
    with ScriptedGateway(Reply(body=task("failed")), Drop(), ACCEPTED) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            with pytest.raises(ConnectionFailed) as caught:
                await handle.retry()

    assert caught.value.sent
    assert gateway.left == 1


async def test_a_request_that_must_not_be_repeated_is_if_the_gateway_did_not_do_it() -> None:
    with ScriptedGateway(Reply(body=task("failed")), BUSY, ACCEPTED) as gateway:
        async with AsyncClient(gateway.url) as client:
            handle = await client.get(TASK_ID)
            state = await handle.retry()

    assert state.status == "queued"
    assert [request.method for request in gateway.requests] == ["GET", "POST", "POST"]


@pytest.mark.parametrize("answer", [Reply(200, {"hello": "world"}), Reply(302, headers={"Location": "/login"})])
async def test_an_answer_of_something_else_is_unexpected(answer: Reply) -> None:
    with ScriptedGateway(answer) as gateway:
        async with AsyncClient(gateway.url) as client:
            with pytest.raises(UnexpectedAnswer, match="check that BACKHAUL_URL names a Backhaul gateway"):
                await client.submit("a.b")

    assert len(gateway.requests) == 1


async def test_an_error_of_a_proxy_has_a_problem_too() -> None:
    with ScriptedGateway(Reply(403)) as gateway:
        async with AsyncClient(gateway.url) as client:
            with pytest.raises(Unauthorized, match="403 Forbidden") as caught:
                await client.submit("a.b")

    assert caught.value.problem.status == 403


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://there", "http://", "http://[::1", "http://h:99999"])
def test_what_is_no_url_of_a_gateway_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write it like http://127"):
        AsyncClient(url)


def test_without_a_url_the_environment_names_gateway_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKHAUL_URL", "http://127.0.0.1:4711/base/")

    client = AsyncClient()

    assert client.url == "http://127.0.0.1:4711/base"


@pytest.mark.parametrize(("given", "shown"), [(None, "Bearer bh_mine"), ("bh_other", "Bearer bh_other"), ("", None)])
async def test_the_key_of_the_environment_is_shown_unless_another_is_given_or_none_is_wanted(
    monkeypatch: pytest.MonkeyPatch, given: str | None, shown: str | None
) -> None:
    monkeypatch.setenv("BACKHAUL_API_KEY", "bh_mine")

    with ScriptedGateway(Reply(body={"data": [], "next_cursor": None})) as gateway:
        async with AsyncClient(gateway.url, given) as client:
            await client.queues()

    assert gateway.requests[0].headers.get("authorization") == shown


async def test_a_silent_gateway_does_not_hold_a_cancelled_caller() -> None:
    release = threading.Event()
    silence = Silence(until=release)
    with ScriptedGateway(silence) as gateway:
        async with AsyncClient(gateway.url) as client:
            submitting = asyncio.create_task(client.submit("a.b"))
            await asyncio.to_thread(silence.heard.wait, 10)
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting
        release.set()

    assert len(gateway.requests) == 1
