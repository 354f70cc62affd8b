"""The events of many tasks, as a client hears them."""

import httpx
import pytest

from backhaul.client import AsyncClient, ConnectionFailed, InvalidRequest
from backhaul_contracts.events import Event

EVENT = (
    'id: tsk_1:3\nevent: task.started\ndata: {"task_id":"tsk_1","seq":3,"attempt":1,"type":"task.started",'
    '"time":"2026-01-31T08:00:00.000Z","data":{}}\n\n'
)
GAP = (
    'event: stream.gap\ndata: {"task_id":"","seq":0,"attempt":0,"type":"stream.gap",'
    '"time":"2026-01-31T08:00:00.000Z","data":{"reason":"reconnect"}}\n\n'
)


class Gateway:
    """Answers each request with the next of its streams, and then with nothing any more."""

    def __init__(self, *streams: str) -> None:
        self._streams = list(streams)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not self._streams:
            raise httpx.ConnectError("down", request=request)
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=self._streams.pop(0))


async def heard(gateway: Gateway, count: int, patience: str = "5s", **choices: str) -> list[Event]:
    events: list[Event] = []
    async with AsyncClient("http://gateway", patience=patience, transport=httpx.MockTransport(gateway)) as http:
        async for event in http.events(**choices):  # type: ignore[arg-type]
            events.append(event)
            if len(events) == count:
                break
    return events


async def test_they_are_asked_for_as_they_are_chosen() -> None:
    gateway = Gateway(EVENT)

    (event,) = await heard(gateway, 1, kind="digest.summarise", type="task.started")

    assert (event.task_id, event.seq) == ("tsk_1", 3)
    assert gateway.requests[0].url.path == "/v1/events"
    assert dict(gateway.requests[0].url.params) == {"kind": "digest.summarise", "type": "task.started"}
    assert "Last-Event-ID" not in gateway.requests[0].headers


@pytest.mark.parametrize(("first", "cursor"), [(EVENT, "tsk_1:3"), (": keep-alive\n\n", "none yet")])
async def test_after_a_break_it_asks_for_the_gap_that_there_is(first: str, cursor: str) -> None:
    gateway = Gateway(first, GAP + EVENT)

    events = await heard(gateway, 2 + (first == EVENT))

    assert [event.type for event in events][-2:] == ["stream.gap", "task.started"]
    assert gateway.requests[1].headers["Last-Event-ID"] == cursor


async def test_it_gives_up_when_its_patience_is_over() -> None:
    with pytest.raises(ConnectionFailed):
        await heard(Gateway(EVENT), 2, patience="0s")


async def test_a_choice_that_is_refused_is_an_error() -> None:
    def refusing(request: httpx.Request) -> httpx.Response:
        problem = {"type": "x", "title": "no", "status": 422, "code": "invalid_input"}
        return httpx.Response(422, headers={"Content-Type": "application/problem+json"}, json=problem)

    async with AsyncClient("http://gateway", transport=httpx.MockTransport(refusing)) as http:
        with pytest.raises(InvalidRequest):
            await anext(http.events(status="lost"))
