"""Every problem code of the contract is produced over HTTP, with its status, as `application/problem+json`."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from backhaul.core.apikeys import Scope
from backhaul.core.errors import StoreUnavailable
from backhaul.core.messages.announcements import token_message
from backhaul.core.ports.dispatch import Token
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.problems import PROBLEM_JSON, TYPE_BASE, ProblemCode
from tests.conformance.http.keys import new_key
from tests.conformance.http.stage import Stage, body

Provoke = Callable[[Stage, pytest.MonkeyPatch], Awaitable[httpx.Response]]
RETENTION_AND_MORE = 25 * 3600 * 1000


def now_ms(stage: Stage) -> int:
    return int(stage.clock.now().timestamp() * 1000)


async def posted(stage: Stage, content: bytes, media_type: str = "application/json") -> httpx.Response:
    return await stage.http.post("/v1/tasks", content=content, headers={"Content-Type": media_type})


async def malformed(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await posted(stage, b"{")


async def without_key(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    await new_key(stage)
    return await stage.http.get("/v1/tasks")


async def without_scope(stage: Stage, patch: pytest.MonkeyPatch) -> httpx.Response:
    _, headers = await new_key(stage, Scope.READ)
    return await stage.http.post("/v1/tasks", json=body(), headers=headers)


async def missing(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.get(f"/v1/tasks/{new_task_id(now_ms(stage))}")


async def unknown_kind(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.post("/v1/tasks", json=body(kind="digest.sumarise"))


async def wrong_method(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.put("/v1/tasks")


async def without_upgrade(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.get("/v1/ws")


async def wrong_accept(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    task = await stage.submit()
    return await stage.http.get(f"/v1/tasks/{task['id']}/events", headers={"Accept": "text/html"})


async def unfinished(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.get(f"/v1/tasks/{(await stage.submit())['id']}/result")


async def failed(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    task = await stage.submit()
    await (await stage.start(task["id"])).fail()
    return await stage.http.get(f"/v1/tasks/{task['id']}/result")


async def retried(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.post(f"/v1/tasks/{(await stage.submit())['id']}/retry")


async def letter_for_nobody(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    await stage.broker.publish([token_message(Token("nowhere", new_task_id()))])
    (letter,) = (await stage.http.get("/v1/dead-letters")).json()["data"]
    return await stage.http.post(f"/v1/dead-letters/{letter['id']}/replay")


async def gone(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.get(f"/v1/tasks/{new_task_id(now_ms(stage) - RETENTION_AND_MORE)}")


async def too_large(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await posted(stage, b" " * (2**20 + 1))


async def wrong_type(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await posted(stage, b"{}", "text/plain")


async def misfit(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    return await stage.http.post("/v1/tasks", json=body(input={"text": 1}))


async def reused_key(stage: Stage, _: pytest.MonkeyPatch) -> httpx.Response:
    await stage.submit(key="once")
    return await stage.http.post("/v1/tasks", json=body(key="once", input={"text": "Two."}))


async def store_away(stage: Stage, patch: pytest.MonkeyPatch) -> httpx.Response:
    return await broken(stage, patch, StoreUnavailable("the database is away"))


async def defect(stage: Stage, patch: pytest.MonkeyPatch) -> httpx.Response:
    return await broken(stage, patch, RuntimeError("unforeseen"))


async def broken(stage: Stage, patch: pytest.MonkeyPatch, error: Exception) -> httpx.Response:
    async def find(*_: Any) -> None:
        raise error

    patch.setattr(stage.store, "find", find)
    return await stage.http.get("/v1/tasks")


PROVOKED: dict[ProblemCode, Provoke] = {
    ProblemCode.MALFORMED_JSON: malformed,
    ProblemCode.UNAUTHENTICATED: without_key,
    ProblemCode.FORBIDDEN: without_scope,
    ProblemCode.NOT_FOUND: missing,
    ProblemCode.UNKNOWN_KIND: unknown_kind,
    ProblemCode.METHOD_NOT_ALLOWED: wrong_method,
    ProblemCode.NOT_ACCEPTABLE: wrong_accept,
    ProblemCode.NOT_FINISHED: unfinished,
    ProblemCode.NOT_SUCCEEDED: failed,
    ProblemCode.NOT_RETRYABLE: retried,
    ProblemCode.NOT_REPLAYABLE: letter_for_nobody,
    ProblemCode.GONE: gone,
    ProblemCode.PAYLOAD_TOO_LARGE: too_large,
    ProblemCode.UNSUPPORTED_MEDIA_TYPE: wrong_type,
    ProblemCode.UPGRADE_REQUIRED: without_upgrade,
    ProblemCode.INVALID_INPUT: misfit,
    ProblemCode.IDEMPOTENCY_KEY_REUSED: reused_key,
    ProblemCode.UNAVAILABLE: store_away,
    ProblemCode.INTERNAL: defect,
}
ELSEWHERE = {
    ProblemCode.CURSOR_EXPIRED: "unit/gateway/test_outages.py",
    ProblemCode.ENDPOINT_DISABLED: "integration/test_webhook_endpoints.py",
    ProblemCode.TOO_MANY_ENDPOINTS: "integration/test_webhook_endpoints.py",
    ProblemCode.RATE_LIMITED: "conformance/http/test_limits.py",
}
"""Codes that need another stage: a log that is cut, a receiver, a limit."""


@pytest.mark.parametrize("code", PROVOKED)
async def test_each_code_comes_with_its_status_and_as_a_problem(
    stage: Stage, code: ProblemCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await PROVOKED[code](stage, monkeypatch)

    problem = answer.json()
    assert (problem["code"], answer.status_code, problem["status"]) == (code, code.status, code.status)
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert (problem["type"], problem["title"]) == (TYPE_BASE + code, code.headline)
    assert set(problem) >= {"detail", "errors", "task_id", "trace_id", "retryable"}


def test_no_code_is_without_a_test() -> None:
    tests = Path(__file__).parents[2]

    assert PROVOKED.keys() | ELSEWHERE.keys() == set(ProblemCode)
    for code, module in ELSEWHERE.items():
        assert f'"{code}"' in (tests / module).read_text(encoding="utf-8")
