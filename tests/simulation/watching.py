"""Watching a task: one connection at a time, by each transport that shows its events."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from backhaul_contracts import codec
from backhaul_contracts.events import TERMINAL_EVENTS
from backhaul_contracts.tasks import Status
from tests.proof.observations import End, EventSeen, WatchEnded, WatchOpened
from tests.simulation.http import Exchange, Http, Lost
from tests.simulation.roles import GatewayRole
from tests.simulation.witness import Witness, digest

_FOR_AN_ANSWER = 3
_SILENCE = 40
"""Seconds: more than two signs of life of a stream."""
_CALM = 5
"""Seconds without a word after which a client asks over a WebSocket whether anybody is there."""
_PAGES = 20


class Watch(ABC):
    """One connection. `cursor`: the last event that it has shown; `terminal`: whether that was the end of the task."""

    transport: ClassVar[str]

    def __init__(
        self,
        name: str,
        view: str,
        client: str,
        task_id: str,
        cursor: int | None,
        gateway: GatewayRole,
        http: Http,
        witness: Witness,
    ) -> None:
        self.cursor = cursor
        self.terminal = False
        self._name = name
        self._task_id = task_id
        self._gateway = gateway
        self._http = http
        self._witness = witness
        witness.see(
            WatchOpened(
                watch=name,
                view=view,
                client=client,
                task_id=task_id,
                transport=self.transport,
                gateway=gateway.process.name if gateway.process else gateway.name,
                at=witness.now(),
                after=cursor,
            )
        )

    async def follow(self, patience: float | None) -> End:
        """Until it ends in whatever way, or for as long as the client's patience lasts."""
        try:
            async with asyncio.timeout(patience):
                end = await self._follow()
        except TimeoutError:
            end = End.LEFT
        except Lost:
            end = End.BROKEN
        self._witness.see(WatchEnded(watch=self._name, end=end, at=self._witness.now()))
        return end

    @abstractmethod
    async def _follow(self) -> End:
        """See what comes. Raises `Lost`."""

    def _see(self, event: Any) -> None:
        data = event["data"]
        whole = event["type"] in {"task.snapshot", "stream.gap"}
        succeeded = event["type"] == "task.succeeded" or (whole and data["status"] == "succeeded")
        self.cursor = event["seq"]
        self.terminal = event["type"] in TERMINAL_EVENTS or (whole and data["done"])
        self._witness.see(
            EventSeen(
                watch=self._name,
                task_id=event["task_id"],
                seq=event["seq"],
                type=event["type"],
                at=self._witness.now(),
                attempt=event["attempt"],
                status=Status(data["status"]) if whole else None,
                digest=None if whole else digest(data),
                result_hash=digest(data["result"]) if succeeded else None,
            )
        )


class StreamWatch(Watch):
    """Server-Sent Events."""

    transport = "sse"

    async def _follow(self) -> End:
        headers = {b"accept": b"text/event-stream"}
        if self.cursor is not None:
            headers[b"last-event-id"] = str(self.cursor).encode()
        exchange = Exchange("GET", f"/v1/tasks/{self._task_id}/events", b"", headers)
        forget = await self._http.open(self._gateway, exchange)
        try:
            start = await _within(_FOR_AN_ANSWER, exchange)
            if start["status"] == 204:
                return End.EMPTY
            if start["status"] != 200:
                raise Lost(f"status {start['status']}")
            while True:
                part = await _within(_SILENCE, exchange)
                self._read(part.get("body", b""))
                if not part.get("more_body", False):
                    return End.CLOSED
        finally:
            forget()
            exchange.leave()

    def _read(self, text: bytes) -> None:
        for block in text.split(b"\n\n"):
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line and line[:1] != b":")
            if b"data" in fields:
                self._see(codec.loads(fields[b"data"]))


class SocketWatch(Watch):
    """A subscription on a WebSocket of its own."""

    transport = "websocket"

    async def _follow(self) -> End:
        exchange = Exchange("GET", "/v1/ws", b"", {}, type="websocket")
        exchange.say({"type": "websocket.connect"})
        wanted = {"op": "subscribe", "ref": 1, "task_id": self._task_id}
        self._say(exchange, wanted if self.cursor is None else {**wanted, "after": self.cursor})
        forget = await self._http.open(self._gateway, exchange)
        try:
            return await self._hear(exchange)
        finally:
            forget()
            exchange.leave()

    async def _hear(self, exchange: Exchange) -> End:
        while not self.terminal:
            part = await self._next(exchange)
            if part["type"] == "websocket.close":
                return End.CLOSED
            if part["type"] != "websocket.send":
                continue
            said = codec.loads(part["text"])
            if said.get("op") == "error":
                raise Lost(said["error"]["code"])
            if said.get("op") == "ack" and said["done"] and said["seq"] == self.cursor:
                return End.EMPTY
            if "seq" in said and "type" in said:
                self._see(said)
        return End.CLOSED

    async def _next(self, exchange: Exchange) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_CALM):
                return await exchange.part()
        except TimeoutError:
            self._say(exchange, {"op": "ping", "ref": 2})
            return await _within(_FOR_AN_ANSWER, exchange)

    def _say(self, exchange: Exchange, said: Any) -> None:
        exchange.say({"type": "websocket.receive", "text": codec.dumps(said).decode()})


class LogWatch(Watch):
    """A few pages of the JSON log, one after the other. It needs a cursor."""

    transport = "log"

    async def _follow(self) -> End:
        for _ in range(_PAGES):
            target = f"/v1/tasks/{self._task_id}/events?after={self.cursor or 0}&limit=3"
            reply = await self._http.call(self._gateway, "GET", target, headers={b"accept": b"application/json"})
            if reply.status != 200:
                raise Lost(f"status {reply.status}")
            page = reply.json()
            for event in page["data"]:
                self._see(event)
            if page["done"]:
                return End.CLOSED if self.terminal else End.EMPTY
            if not page["data"]:
                await asyncio.sleep(0.4)
        return End.LEFT


async def _within(seconds: float, exchange: Exchange) -> dict[str, Any]:
    try:
        async with asyncio.timeout(seconds):
            return await exchange.part()
    except TimeoutError:
        raise Lost("nothing came") from None
