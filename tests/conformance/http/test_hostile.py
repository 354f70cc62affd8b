"""Whatever is sent, the answer is one of those that are described: never a 5xx, never silence."""

import asyncio
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from backhaul.gateway.api.routes import Route
from backhaul.gateway.http.queries import cursor_behind
from backhaul.settings import Settings
from backhaul.store import upgrade
from backhaul_contracts import codec
from backhaul_contracts.problems import PROBLEM_JSON, ProblemCode
from tests.conformance.http.stage import Stage

BOUNDED = bounds(
    max_examples=120, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TASK, UNKNOWN = "tsk_01m86m4bnpe27a597p8ew55k2g", "tsk_7zzzzzzzzzzzzzzzzzzzzzzzzz"

WORDS = ("", "0", "-1", "1e400", "null", "true", "\x00", "é", "💥", "%00", "../..", "a" * 300, TASK, UNKNOWN)
words = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)
FIELDS = (
    "kind", "input", "key", "queue", "priority", "run_at", "delay", "expires_in", "timeout", "max_attempts", "metadata",
    "parent_id", "webhook", "url", "events", "tasks", "reason", "grace",
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=60),
    values.map(codec.dumps),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=4)
    .map(lambda fields: {"kind": "digest.summarise", "input": {"text": "One."}, **fields})
    .map(codec.dumps),
)
PATHS = (
    ("POST", "/v1/tasks"), ("POST", "/v1/tasks/batch"), ("GET", "/v1/tasks"), ("GET", "/v1/tasks/{}"),
    ("GET", "/v1/tasks/{}/result"), ("GET", "/v1/tasks/{}/events"), ("POST", "/v1/tasks/{}/cancel"),
    ("POST", "/v1/tasks/{}/retry"), ("POST", "/v1/tasks/{}/replay"), ("DELETE", "/v1/tasks/{}"),
    ("GET", "/v1/kinds/{}"),
    ("POST", "/v1/queues/{}/pause"), ("POST", "/v1/queues/{}/resume"), ("GET", "/v1/dead-letters"),
    ("GET", "/v1/dead-letters/{}"), ("POST", "/v1/dead-letters/{}/replay"), ("POST", "/v1/webhook-endpoints"),
    ("GET", "/v1/webhook-endpoints/{}"), ("PATCH", "/v1/webhook-endpoints/{}"), ("DELETE", "/v1/webhook-endpoints/{}"),
    ("POST", "/v1/webhook-endpoints/{}/test"), ("GET", "/v1/webhook-endpoints/{}/deliveries"),
    ("POST", f"/v1/tasks/{TASK}/deliveries/{{}}/redeliver"), ("GET", "/readyz"), ("GET", "/healthz"),
    ("PUT", "/v1/tasks"), ("GET", "/{}"),
)  # fmt: skip
NAMES = (
    "status",
    "kind",
    "limit",
    "cursor",
    "after",
    "created_after",
    "metadata.x",
    "need",
    "token",
    "queue",
    "reason",
    "x",
)
HEADERS = (
    "prefer",
    "if-none-match",
    "idempotency-key",
    "traceparent",
    "last-event-id",
    "content-type",
    "authorization",
)


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"secret_key": "k" * 32, "webhook_allow_private": True})


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The one takes some of what the other refuses."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("database_url")
    upgrade(url)
    return url


def described(stage: Stage, method: str, path: str) -> set[int]:
    """What OpenAPI says of the call; of what is no call, what is said of such."""
    for route in stage.app.routes:
        if isinstance(route, Route) and method in route.answers and route.path_regex.match(path):
            return {int(status) for status in (route.openapi_extra or {})["responses"]}
    return {404, 405}


async def answered(stage: Stage, method: str, path: str, **sent: Any) -> int:
    async with asyncio.timeout(10):
        answer = await stage.http.request(method, path, **sent)
    assert answer.status_code < 500, (method, path, answer.status_code, answer.text)
    assert answer.status_code in described(stage, method, answer.request.url.path), (method, path, answer.text)
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.headers["content-type"] == PROBLEM_JSON
        assert answer.json()["code"] in list(ProblemCode)
    return answer.status_code


async def test_nothing_in_a_path_is_answered_with_a_fault_of_ours(stage: Stage) -> None:
    for (method, path), word in product(PATHS, WORDS):
        await answered(stage, method, path.format(quote(word, safe="")), json={} if method == "PATCH" else None)


async def test_no_made_up_cursor_is_answered_with_a_fault_of_ours(stage: Stage) -> None:
    lists = ("/v1/tasks", "/v1/webhook-endpoints", f"/v1/tasks/{TASK}/deliveries", "/v1/dead-letters")

    for path, behind in product(lists, ("whe_\x00", "whd_\x00", "tsk_\x00", "dl_\x00", f"whe_{'z' * 500}")):
        await answered(stage, "GET", path, params={"cursor": cursor_behind(behind)})


@BOUNDED
@given(call=st.sampled_from(PATHS), word=words, body=bodies)
async def test_no_path_and_no_body_is_answered_with_a_fault_of_ours(
    stage: Stage, call: tuple[str, str], word: str, body: bytes
) -> None:
    method, path = call

    await answered(
        stage, method, path.format(quote(word, safe="")), content=body, headers={"Accept": "application/json"}
    )


@BOUNDED
@given(
    call=st.sampled_from(PATHS),
    query=st.lists(st.tuples(st.sampled_from(NAMES), words), max_size=3),
    headers=st.dictionaries(st.sampled_from(HEADERS), words, max_size=2),
)
async def test_no_parameter_and_no_header_is_answered_with_a_fault_of_ours(
    stage: Stage, call: tuple[str, str], query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    method, path = call
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]

    await answered(stage, method, path.format(TASK), params=query, headers=[*sent, (b"accept", b"application/json")])


@pytest.mark.parametrize(
    "deep", [b"[" * 100_000, b'{"kind":' * 50_000, b'{"input":' + b"[" * 5_000 + b"]" * 5_000 + b"}"]
)
async def test_a_body_nested_without_end_is_refused(stage: Stage, deep: bytes) -> None:
    assert await answered(stage, "POST", "/v1/tasks", content=deep) in {400, 422}
