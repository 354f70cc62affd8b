"""HTTP without a network: a client's request runs in the process of its gateway, and breaks when that dies."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from backhaul_contracts import codec
from tests.simulation.loop import Process
from tests.simulation.roles import GatewayRole
from tests.simulation.weather import Weather


class Lost(Exception):
    """The connection broke, or was refused, or nobody answered in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return codec.loads(self.body)


class Exchange:
    """One request and its answer, part by part; or one WebSocket."""

    def __init__(
        self, method: str, target: str, body: bytes, headers: dict[bytes, bytes], *, type: str = "http"
    ) -> None:
        path, _, query = target.partition("?")
        self.scope: dict[str, Any] = {
            "type": type,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"content-type", b"application/json"), *headers.items()] if body else list(headers.items()),
            "subprotocols": [],
        }
        self._parts: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._said: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()
        self._left = False
        if type == "http":
            self.say({"type": "http.request", "body": body, "more_body": False})

    def say(self, message: dict[str, Any]) -> None:
        """The next thing that the server receives."""
        self._said.append(message)
        self._news.set()

    async def receive(self) -> dict[str, Any]:
        while not self._said:
            if self._left:
                return {"type": f"{self.scope['type']}.disconnect"}
            self._news.clear()
            await self._news.wait()
        return self._said.popleft()

    async def send(self, message: Any) -> None:
        self._parts.put_nowait(dict(message))

    def break_off(self) -> None:
        """The server is gone."""
        self._parts.put_nowait(None)

    def leave(self) -> None:
        """The client is gone."""
        self._left = True
        self._news.set()

    async def part(self) -> dict[str, Any]:
        """The next part of the answer. Raises `Lost`."""
        part = await self._parts.get()
        if part is None:
            raise Lost("the connection broke")
        return part


class Http:
    """One client's way to the gateways."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather

    async def call(
        self,
        gateway: GatewayRole,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: dict[bytes, bytes] | None = None,
        patience: float = 3.0,
    ) -> Reply:
        """The whole answer. Raises `Lost`: what was asked for may have been done."""
        exchange = Exchange(method, target, b"" if body is None else codec.dumps(body), headers or {})
        try:
            async with asyncio.timeout(patience):
                forget = await self.open(gateway, exchange)
                try:
                    start = await exchange.part()
                    parts = []
                    more = True
                    while more:
                        part = await exchange.part()
                        parts.append(part.get("body", b""))
                        more = part.get("more_body", False)
                finally:
                    forget()
        except TimeoutError:
            raise Lost("nobody answered in time") from None
        finally:
            exchange.leave()
        return Reply(start["status"], dict(start["headers"]), b"".join(parts))

    async def open(self, gateway: GatewayRole, exchange: Exchange) -> Callable[[], None]:
        """Send the request on its way; the answer comes by the exchange. Returns what to call when it is done with."""
        await asyncio.sleep(self._weather.way())
        process = gateway.process
        if process is None or not getattr(gateway, "calls", None):
            raise Lost("the connection was refused")
        forget = gateway.when_gone(exchange.break_off)
        process.start(_serve(gateway, process, exchange))
        return forget


async def _serve(gateway: GatewayRole, process: Process, exchange: Exchange) -> None:
    scope = exchange.scope
    try:
        await _endpoint(gateway, scope)(scope, exchange.receive, exchange.send)
    except asyncio.CancelledError:
        exchange.break_off()
        raise
    except Exception as error:  # noqa: BLE001 - what nobody foresaw is a finding
        gateway.ground.witness.crashed.append(
            f"{process.name}: {scope['method']} {scope['path']} failed: {type(error).__name__}: {error}"
        )
        exchange.break_off()


def _endpoint(gateway: GatewayRole, scope: dict[str, Any]) -> ASGIApp:
    if scope["type"] == "websocket":
        return gateway.sockets
    for route in gateway.calls:
        if scope["method"] in route.answers and (match := route.path_regex.match(scope["path"])):
            scope["path_params"] = match.groupdict()
            return route.handle
    raise AssertionError(f"no route for {scope['method']} {scope['path']}")
