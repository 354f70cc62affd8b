"""Who may do what: every route of the application, whatever is added to it, with each key that does not suffice."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from backhaul.core.apikeys import EVERY, Scope
from backhaul.core.clock import to_ms
from backhaul.gateway.api.routes import Route
from backhaul.gateway.http.conditions import EVENT_STREAM
from backhaul_contracts.ids import new_task_id
from tests.conformance.http.keys import Headers, let_it_look, new_key
from tests.conformance.http.stage import KIND, Stage, body
from tests.conformance.http.test_websocket import talking

OPEN = {"/healthz", "/readyz"}
SOCKET = "/v1/ws"
"""A plain GET is told that it is none, whoever asks; that a handshake needs a key is shown below."""


def guarded(stage: Stage) -> list[Route]:
    return [route for route in stage.app.routes if isinstance(route, Route) and route.path not in {*OPEN, SOCKET}]


def endless(route: Route) -> bool:
    """Whether it answers with a stream that no task ends: what it shows to whom is tested where it is."""
    return set(route.operation.answers.get(200, ("", {}))[1]) == {EVENT_STREAM}


async def call(stage: Stage, route: Route, task_id: str, headers: Headers | None = None) -> httpx.Response:
    """Call a route as if about this task."""
    places = {"task_id": task_id, "kind": KIND.kind, "name": KIND.queue}
    path = re.sub(r"{(\w+)}", lambda place: places.get(place[1], "unknown"), route.path)
    method = min(route.methods or ())
    content: Any = None if method in ("GET", "DELETE") else {}
    return await stage.http.request(method, path, json=content, headers=headers)


async def test_only_probes_need_no_key(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    await new_key(stage)

    assert guarded(stage)
    for path in OPEN:
        assert (await stage.http.get(path)).status_code == 200
    for route in guarded(stage):
        answer = await call(stage, route, task_id)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), route.path
        assert answer.headers["www-authenticate"] == 'Bearer realm="backhaul"'


async def test_every_route_needs_its_scope(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    lacking = {scope: (await new_key(stage, *(EVERY - {scope, Scope.ADMIN})))[1] for scope in Scope}

    for route in guarded(stage):
        scope = route.operation.scope
        assert scope is not None, route.path
        answer = await call(stage, route, task_id, lacking[scope])
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), route.path
        assert repr(str(scope)) in answer.json()["detail"]


async def test_no_route_tells_anything_of_a_task_of_another_tenant(stage: Stage) -> None:
    task_id = (await stage.submit(metadata={"team": "of-here-alone"}))["id"]
    _, here = await new_key(stage)
    _, elsewhere = await new_key(stage, tenant="elsewhere")
    before = (await stage.http.get(f"/v1/tasks/{task_id}", headers=here)).json()

    for route in guarded(stage):
        if endless(route):
            continue
        answer = await call(stage, route, task_id, elsewhere)
        missing = await call(stage, route, new_task_id(to_ms(stage.clock.now())), elsewhere)
        assert "of-here-alone" not in answer.text, route.path
        if "{task_id}" in route.path:
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), route.path
            assert missing.status_code == 404

    assert (await stage.http.get(f"/v1/tasks/{task_id}", headers=here)).json() == before
    assert (await stage.http.get("/v1/tasks", headers=elsewhere)).json()["data"] == []


async def test_what_a_key_makes_is_its_tenants(stage: Stage) -> None:
    _, blue = await new_key(stage, tenant="blue")
    _, red = await new_key(stage, tenant="red")

    made = [await stage.http.post("/v1/tasks", json=body(key="one"), headers=headers) for headers in (blue, red)]

    assert [answer.json()["tenant"] for answer in made] == ["blue", "red"]
    assert made[0].json()["id"] != made[1].json()["id"]


async def test_the_stream_of_many_tasks_shows_those_of_one_tenant(stage: Stage) -> None:
    _, blue = await new_key(stage, tenant="blue")
    _, red = await new_key(stage, tenant="red")

    async with stage.follow("/v1/events", headers=red) as stream:
        for headers in (blue, red):
            await stage.http.post("/v1/tasks", json=body(metadata={"of": headers["Authorization"]}), headers=headers)
        events = [await stream.event() for _ in range(2)]

    tasks = (await stage.http.get("/v1/tasks", headers=red)).json()["data"]
    assert [event["event"] for event in events] == ["task.accepted", "task.queued"]
    assert {event["data"]["task_id"] for event in events} == {task["id"] for task in tasks}


async def test_a_parent_of_another_tenant_is_as_good_as_none(stage: Stage) -> None:
    parent = await stage.submit()
    _, elsewhere = await new_key(stage, tenant="elsewhere")

    answers = [
        await stage.http.post("/v1/tasks", json=body(parent_id=parent_id), headers=elsewhere)
        for parent_id in (parent["id"], new_task_id())
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/parent_id")


async def test_the_api_is_open_until_the_first_key_and_never_again(stage: Stage) -> None:
    before = await stage.http.get("/v1/tasks", headers={"Authorization": "Bearer bh_of_another_platform"})
    key, headers = await new_key(stage)
    with_key = await stage.http.get("/v1/tasks", headers=headers)

    await stage.store.revoke_api_key(key.id)
    await let_it_look(stage)
    revoked = await stage.http.get("/v1/tasks", headers=headers)
    without = await stage.http.get("/v1/tasks")

    assert [answer.status_code for answer in (before, with_key, revoked, without)] == [200, 200, 401, 401]


async def test_what_began_without_a_key_ends_with_the_first_key(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(f"/v1/tasks/{task_id}/events") as stream, talking(stage) as talk:
        assert (await stream.event())["event"] == "task.snapshot"
        await new_key(stage)
        refused = await talk.ask("submit", **body())
        stage.clock.advance(timedelta(seconds=15))
        code, rest = await talk.closed(), await stream.rest()

    assert (refused["error"]["code"], code, rest) == ("unauthenticated", 1008, [])


async def test_who_waits_for_a_task_hears_nothing_of_it_when_its_key_is_revoked_meanwhile(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    key, headers = await new_key(stage)
    waiting = asyncio.ensure_future(
        stage.http.get(f"/v1/tasks/{task_id}", headers=headers | {"Prefer": "wait=50"}),
    )
    await stage.watched(task_id)

    await stage.store.revoke_api_key(key.id)
    await let_it_look(stage)
    await stage.run(task_id, {"secret": "of the tenant"})
    answer = await waiting

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("header", ["Basic dXM6c2VjcmV0", "Bearer", "Bearer  ", "bh_", "Bearer \xff", "Bearer bh_ä"])
async def test_what_is_no_key_is_told_what_is_expected(stage: Stage, header: str) -> None:
    await new_key(stage)

    answer = await stage.http.get("/v1/tasks", headers=[(b"authorization", header.encode("latin-1"))])

    assert answer.status_code == 401


async def test_a_new_key_is_known_at_once_and_admin_is_every_scope(stage: Stage) -> None:
    await new_key(stage)

    _, headers = await new_key(stage, Scope.ADMIN)

    assert (await stage.http.post("/v1/tasks", json=body(), headers=headers)).status_code == 202
    assert (await stage.http.get("/v1/dead-letters", headers=headers)).status_code == 200


async def test_a_stream_ends_when_its_key_is_revoked(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    key, headers = await new_key(stage)

    async with stage.follow(f"/v1/tasks/{task_id}/events", headers=headers) as stream:
        assert (await stream.event())["event"] == "task.snapshot"
        await stage.store.revoke_api_key(key.id)
        await let_it_look(stage)
        stage.clock.advance(timedelta(seconds=15))
        rest = await stream.rest()

    assert rest == []


class TestAWebSocket:
    async def test_it_opens_with_a_key_alone(self, stage: Stage) -> None:
        await new_key(stage)

        with pytest.raises(InvalidStatus) as refused:
            async with talking(stage):
                pytest.fail("it was opened")

        assert refused.value.response.status_code == 401

    async def test_pages_offer_their_key_as_a_subprotocol(self, stage: Stage) -> None:
        _, headers = await new_key(stage)
        bare = headers["Authorization"].removeprefix("Bearer ")

        async with talking(stage, subprotocols=["backhaul.v1", f"bearer.{bare}"]) as talk:
            assert talk.connection.subprotocol == "backhaul.v1"
            assert (await talk.ask("submit", **body()))["op"] == "ack"

    async def test_each_message_needs_its_scope(self, stage: Stage) -> None:
        task_id = (await stage.submit())["id"]
        asked = {Scope.READ: "subscribe", Scope.SUBMIT: "submit", Scope.CANCEL: "cancel"}

        for scope, op in asked.items():
            _, headers = await new_key(stage, *(EVERY - {scope, Scope.ADMIN}))
            async with talking(stage, additional_headers=headers) as talk:
                answer = await talk.ask(op, **(body() if op == "submit" else {"task_id": task_id}))
            assert (answer["op"], answer["error"]["code"]) == ("error", "forbidden")

    async def test_tasks_of_another_tenant_are_not_there(self, stage: Stage) -> None:
        task_id = (await stage.submit())["id"]
        _, headers = await new_key(stage, tenant="elsewhere")

        async with talking(stage, additional_headers=headers) as talk:
            answers = [await talk.ask(op, task_id=task_id) for op in ("subscribe", "cancel")]
            submitted = await talk.ask("submit", **body())

        assert [answer["error"]["code"] for answer in answers] == ["not_found", "not_found"]
        assert submitted["task"]["tenant"] == "elsewhere"

    async def test_it_closes_when_its_key_is_revoked(self, stage: Stage) -> None:
        key, headers = await new_key(stage)

        async with talking(stage, additional_headers=headers) as talk:
            await stage.store.revoke_api_key(key.id)
            await let_it_look(stage)
            refused = await talk.ask("submit", **body())
            stage.clock.advance(timedelta(seconds=15))
            code = await talk.closed()

        assert (refused["error"]["code"], code) == ("unauthenticated", 1008)


class TestALinkToAStream:
    async def test_it_needs_no_key(self, stage: Stage) -> None:
        _, headers = await new_key(stage)
        task = (await stage.http.post("/v1/tasks", json=body(), headers=headers)).json()

        log = await stage.http.get(task["links"]["stream"], headers={"Accept": "application/json"})
        async with stage.follow(task["links"]["stream"] + "&after=0") as stream:
            first = await stream.event()

        assert [event["type"] for event in log.json()["data"]] == ["task.accepted", "task.queued"]
        assert first["event"] == "task.accepted"

    async def test_it_ends_with_the_key_that_read_it_and_so_does_what_it_has_opened(self, stage: Stage) -> None:
        key, headers = await new_key(stage)
        link = (await stage.http.post("/v1/tasks", json=body(), headers=headers)).json()["links"]["stream"]

        async with stage.follow(link) as stream:
            assert (await stream.event())["event"] == "task.snapshot"
            await stage.store.revoke_api_key(key.id)
            await let_it_look(stage)
            answer = await stage.http.get(link)
            stage.clock.advance(timedelta(seconds=15))
            rest = await stream.rest()

        assert (answer.status_code, rest) == (401, [])

    async def test_it_is_not_given_to_a_key_that_may_only_cancel(self, stage: Stage) -> None:
        task_id = (await stage.submit())["id"]
        _, headers = await new_key(stage, Scope.CANCEL)

        task = (await stage.http.post(f"/v1/tasks/{task_id}/cancel", headers=headers)).json()

        assert task["links"]["stream"] == f"/v1/tasks/{task_id}/events"

    async def test_one_that_was_read_without_a_key_opens_nothing_where_one_is_needed(self, stage: Stage) -> None:
        link = (await stage.submit())["links"]["stream"]

        await new_key(stage)

        assert (await stage.http.get(link)).status_code == 401

    async def test_it_opens_nothing_else(self, stage: Stage) -> None:
        _, headers = await new_key(stage)
        first, second = [(await stage.http.post("/v1/tasks", json=body(), headers=headers)).json() for _ in range(2)]
        token = first["links"]["stream"].partition("?")[2]
        paths = (f"/v1/tasks/{second['id']}/events", f"/v1/tasks/{first['id']}", f"/v1/tasks/{first['id']}/result")

        answers = [await stage.http.get(f"{path}?{token}") for path in paths]

        assert [answer.status_code for answer in answers] == [401, 401, 401]

    async def test_it_cannot_be_changed(self, stage: Stage) -> None:
        _, headers = await new_key(stage)
        link = (await stage.http.post("/v1/tasks", json=body(), headers=headers)).json()["links"]["stream"]
        path, _, token = link.partition("?token=")
        forged = ("", "x", "ä", token[:-1], "A" * len(token), ("B" if token[0] == "A" else "A") + token[1:])

        answers = [await stage.http.get(path, params={"token": changed}) for changed in forged]

        assert {answer.status_code for answer in answers} == {401}

    async def test_it_lasts_a_quarter_of_an_hour_and_is_not_renewed_by_reading(self, stage: Stage) -> None:
        _, headers = await new_key(stage)
        task = (await stage.http.post("/v1/tasks", json=body(), headers=headers)).json()
        accept = {"Accept": "application/json"}

        stage.clock.advance(timedelta(minutes=14))
        late = await stage.http.get(task["links"]["stream"], headers=accept)
        async with stage.follow(task["links"]["stream"]) as stream:
            shown = (await stream.event())["data"]["data"]
        stage.clock.advance(timedelta(minutes=6))
        await let_it_look(stage)
        too_late = await stage.http.get(task["links"]["stream"], headers=accept)

        assert (late.status_code, too_late.status_code) == (200, 401)
        assert shown["links"]["stream"] == f"/v1/tasks/{task['id']}/events"

    async def test_it_is_the_same_for_a_while_so_that_a_task_reads_the_same(self, stage: Stage) -> None:
        task = await stage.submit()

        assert await stage.task(task["id"]) == task

    async def test_where_no_key_is_needed_it_never_ends(self, stage: Stage) -> None:
        link: Any = (await stage.submit())["links"]["stream"]

        stage.clock.advance(timedelta(days=1))
        await let_it_look(stage)
        answer = await stage.http.get(link, headers={"Accept": "application/json"})

        assert answer.status_code == 200
