"""One request to one receiver."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from backhaul.core.clock import SystemClock
from backhaul.network import Resolver
from backhaul.notifier.post import Answer, Post, retry_after
from tests.support.ports import free_port
from tests.support.receiver import Receiver, status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    resolver = Resolver(2)
    post = Post(resolver, SystemClock(), allow_private=True, patience=timedelta(seconds=1))
    yield post
    await post.close()
    resolver.close()


async def test_a_success_says_no_more(post: Post, receiver: Receiver) -> None:
    receiver.answers.append(status(204))

    assert await post.send(receiver.url, {"webhook-id": "whd_1"}, b"{}") == Answer(204)
    assert (await receiver.call()).body == b"{}"


async def test_of_a_failure_the_beginning_of_the_body_is_kept_in_printable_characters(
    post: Post, receiver: Receiver
) -> None:
    receiver.answers.append(status(503, "retry-after: 90", body="no\x1b[31m room\n" + "x" * 100_000))

    answer = await post.send(receiver.url, {}, b"{}")

    assert answer.status == 503
    assert answer.error is not None
    assert answer.error.startswith("no [31m room x")
    assert len(answer.error) <= 200
    assert answer.retry_after == timedelta(seconds=90)


async def test_a_redirect_is_not_followed(post: Post, receiver: Receiver) -> None:
    receiver.answers.append(status(302, "location: /elsewhere"))

    answer = await post.send(receiver.url, {}, b"{}")

    await receiver.call()
    assert answer.status == 302
    assert receiver.calls.empty()


async def test_who_does_not_answer_in_time_has_not_answered(post: Post, receiver: Receiver) -> None:
    receiver.answers.append(None)

    assert await post.send(receiver.url, {}, b"{}") == Answer(error="no answer within 1 s")


async def test_a_body_that_does_not_end_does_not_hold_up_the_answer(receiver: Receiver) -> None:
    receiver.answers.append(b"HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\nso far")
    resolver = Resolver(1)
    post = Post(resolver, SystemClock(), allow_private=True)

    answer = await post.send(receiver.url, {}, b"{}")

    await post.close()
    resolver.close()
    assert answer == Answer(500, "so far")


async def test_what_is_no_answer_is_told_and_not_raised(post: Post, receiver: Receiver) -> None:
    receiver.answers.append(b"nonsense\r\n\r\n")

    nonsense = await post.send(receiver.url, {}, b"{}")
    closed = await post.send(f"http://127.0.0.1:{free_port()}/", {}, b"{}")
    unknown = await post.send("http://nowhere.invalid/", {}, b"{}")
    no_tls = await post.send(receiver.url.replace("http:", "https:"), {}, b"{}")

    assert [answer.status for answer in (nonsense, closed, unknown, no_tls)] == [None] * 4
    assert "RemoteProtocolError" in str(nonsense.error)
    assert "ConnectError" in str(closed.error)
    assert unknown.error == "nowhere.invalid has no address"
    assert no_tls.error is not None


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("Thu, 01 Jan 2026 00:01:00 GMT", timedelta(minutes=1)),
        ("Wed, 31 Dec 2025 00:00:00 GMT", timedelta(0)),
        ("Thu, 01 Jan 2026 00:01:00", None),
        ("soon", None),
        ("-5", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        (None, None),
    ],
)
def test_a_receiver_says_in_seconds_or_by_date_when_to_come_again(value: str | None, wait: timedelta | None) -> None:
    assert retry_after(value, NOW) == wait
