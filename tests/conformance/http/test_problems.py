"""Errors: RFC 9457, with nothing of what goes on inside."""

import logging
from collections.abc import AsyncIterator

import pytest

from backhaul.gateway.http import request
from backhaul_contracts.problems import Problem
from tests.conformance.http.stage import HERE, Stage, body


async def test_a_problem_is_a_problem_object(stage: Stage) -> None:
    answer = await stage.http.get("/v1/tasks/17")

    problem = Problem.model_validate_json(answer.content)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == set(Problem.model_fields)
    assert problem.type == "https://backhaul.dev/problems/not_found"
    assert (problem.status, problem.code, problem.retryable) == (404, "not_found", False)


async def test_a_call_that_does_not_exist_is_404(stage: Stage) -> None:
    for path in ("/", "/v1", "/v1/jobs", "/v1/tasks/", "/v2/tasks"):
        answer = await stage.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


@pytest.mark.parametrize(
    "task_id", ["tsk_01m86m4bnpe27a597p8ew55k2g%0A", "%00", "%FF", "a%2Fb", "x" * 5_000, "tsk_7" + "z" * 25]
)
async def test_what_cannot_be_the_id_of_a_task_is_404(stage: Stage, task_id: str) -> None:
    for method, path in [("GET", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")]:
        answer = await stage.http.request(method, f"/v1/tasks/{task_id}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


async def test_a_wrong_method_is_405_and_the_right_ones_are_named(stage: Stage) -> None:
    collection = await stage.http.put("/v1/tasks", json=body())
    task = await stage.http.post("/v1/tasks/17")

    assert (collection.status_code, collection.json()["code"]) == (405, "method_not_allowed")
    assert collection.headers["allow"] == "GET, HEAD, POST"
    assert (task.status_code, task.headers["allow"]) == (405, "DELETE, GET, HEAD")


@pytest.mark.parametrize("text", [b"", b"{", b"{'a': 1}", b'{"a": NaN}', b"\xff", b'{"kind": "\\ud800"}', b"1 2"])
async def test_what_is_not_json_is_400(stage: Stage, text: bytes) -> None:
    answer = await stage.http.post("/v1/tasks", content=text, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("text", [b"[]", b"null", b'"text"', b"17"])
async def test_a_body_that_is_no_object_is_422(stage: Stage, text: bytes) -> None:
    answer = await stage.http.post("/v1/tasks", content=text, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["errors"][0]["pointer"] == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_another_media_type_is_415(stage: Stage, headers: dict[str, str]) -> None:
    answer = await stage.http.post("/v1/tasks", content=b"{}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"])
async def test_json_by_any_of_its_names_is_read(stage: Stage, media_type: str) -> None:
    answer = await stage.http.post(
        "/v1/tasks",
        content=b'{"kind":"digest.summarise","input":{"text":"One."}}',
        headers={"Content-Type": media_type},
    )

    assert answer.status_code == 202


async def test_a_body_beyond_the_limit_is_413_and_the_limit_named(stage: Stage) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(input={"text": "x" * 2**20}))

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert "1048576" in answer.json()["detail"]


async def test_of_a_body_without_an_end_no_more_is_read_than_it_takes_to_be_heard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_THROWN_AWAY", 2**20)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**16
            yield b" " * 2**16

    answer = await stage.http.post("/v1/tasks", content=endless(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 413
    assert sent <= 2 * 2**20 + 2 * 2**16


async def test_a_parameter_where_none_is_known_is_422(stage: Stage) -> None:
    task = await stage.submit()
    calls = [("POST", "/v1/tasks"), ("GET", f"/v1/tasks/{task['id']}"), ("GET", "/v1/kinds")]

    for method, path in calls:
        answer = await stage.http.request(method, f"{path}?wait=5", json=body() if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), path
        assert answer.json()["errors"][0]["pointer"] == "/wait"
        assert answer.json()["detail"] == "There is no query parameter 'wait' here. Known: none."


@pytest.mark.parametrize("text", [b"[]", b"null", b'"text"'])
async def test_every_call_that_takes_a_body_takes_an_object(stage: Stage, text: bytes) -> None:
    task = await stage.submit()

    for call in ("batch", f"{task['id']}/cancel", f"{task['id']}/retry", f"{task['id']}/replay"):
        answer = await stage.http.post(f"/v1/tasks/{call}", content=text)
        assert (answer.status_code, answer.json()["detail"]) == (422, "The body must be a JSON object."), call
        assert answer.json()["errors"][0]["pointer"] == ""


async def test_an_unforeseen_error_is_500_with_a_trace_id_and_no_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(stage.store, "snapshots", broken)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    with caplog.at_level(logging.ERROR, "backhaul.gateway"):
        answer = await stage.http.get(
            "/v1/tasks/tsk_01m86m4bnpe27a597p8ew55k2g", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        )

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["trace_id"] == trace
    assert "secret" not in answer.text
    assert trace in caplog.text
    assert "secret of the house" in caplog.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "LOCALHOST"])
async def test_on_loopback_the_api_answers_to_names_of_this_machine(stage: Stage, host: str) -> None:
    answer = await stage.http.get("/healthz", headers={"Host": host})

    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""])
async def test_on_loopback_another_name_is_forbidden(stage: Stage, host: str) -> None:
    answer = await stage.http.get("/healthz", headers={"Host": host})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 202),
        (HERE, 202),
        ("https://[::1]", 202),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
    ],
)
async def test_on_loopback_only_pages_of_this_machine_may_call(stage: Stage, origin: str, status: int) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(), headers={"Origin": origin})

    assert answer.status_code == status


async def test_on_loopback_a_second_host_hides_nothing(stage: Stage) -> None:
    for hosts in (["evil.example", "localhost"], ["localhost", "evil.example"]):
        answer = await stage.http.get("/healthz", headers=[("Host", host) for host in hosts])
        assert answer.status_code == 403
