"""What holds the routes together: middlewares, the short way to lean routes, and the guard on loopback only."""

from typing import Any, cast

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.gateway import Gateway, create_app
from backhaul.gateway.access.guards import is_loopback
from backhaul.gateway.description.page import page
from backhaul.settings import Settings
from backhaul.testing import ManualClock
from tests.conformance.http.stage import HERE, KIND, Stage
from tests.unit.gateway.fakes import FakeBroker, FakeStore


class Stamp:
    """A middleware that leaves a mark on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", b"1")]
            await send(message)

        await self._app(scope, receive, stamped)


def client(host: str = "127.0.0.1", *, stamp: bool = False) -> httpx.AsyncClient:
    clock, store, broker = ManualClock(), FakeStore(ManualClock()), FakeBroker()
    relay = Relay(cast("Store", store), cast("Broker", broker), clock)
    settings = Settings(host=host)
    app = create_app(Gateway(cast("Store", store), cast("Broker", broker), relay, settings=settings, clock=clock))
    if stamp:
        app.add_middleware(Stamp)

    @app.get("/plain")
    async def plain() -> dict[str, str]:
        return {"kind": "an endpoint of FastAPI's own"}

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE)


async def test_endpoints_of_fastapi_s_own_kind_are_served_beside_the_lean_ones() -> None:
    async with client() as http:
        answer = await http.get("/plain")

    assert (answer.status_code, answer.json()) == (200, {"kind": "an endpoint of FastAPI's own"})


@pytest.mark.parametrize("path", ["/healthz", "/plain", "/nowhere"])
async def test_a_middleware_that_is_added_covers_every_answer(path: str) -> None:
    async with client(stamp=True) as http:
        answer = await http.get(path)

    assert answer.headers["x-stamp"] == "1"


async def test_beyond_loopback_any_name_may_be_used() -> None:
    async with client("0.0.0.0") as http:
        answer = await http.get("/healthz", headers={"Host": "api.example", "Origin": "https://example"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.0.0.53", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_what_is_bound_to_loopback_is_known_by_its_address(host: str, here: bool) -> None:
    assert is_loopback(host) is here


async def test_head_is_answered_as_get_is(stage: Stage) -> None:
    task = await stage.submit()

    head = await stage.http.head(f"/v1/tasks/{task['id']}")
    get = await stage.http.get(f"/v1/tasks/{task['id']}")

    assert (head.status_code, head.headers) == (get.status_code, get.headers)


def test_what_a_service_writes_into_its_schemas_stays_text_on_the_page() -> None:
    document: dict[str, Any] = {
        "info": {"title": "API", "version": "1"},
        "paths": {},
        "components": {"schemas": {"a'><script>": {"description": "</pre><script>alert(1)</script>"}}},
    }
    schema = {"properties": {"<script>": {"description": "</textarea><script>alert(2)</script>"}}}
    hostile = KIND.model_copy(update={"input_schema": schema})

    text = page(document, [hostile]).text

    assert text.count(b"<script") == 1
    assert text.count(b"alert") == 2
