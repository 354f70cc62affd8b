"""Events as Server-Sent Events (WHATWG HTML §9.2), sent as bare ASGI messages."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

from starlette.types import Receive, Scope, Send

from backhaul.gateway.http.replies import Header
from backhaul.gateway.http.request import Request
from backhaul.gateway.push.feed import Feed
from backhaul.gateway.push.topic import Bell, Frame

_STALLED = timedelta(seconds=60)
_SIGN_OF_LIFE = b": keep-alive\n\n"
_COME_BACK = b"retry: 1000\n\n"
_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Source(Protocol):
    """Where a stream's frames come from."""

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        ...

    async def more(self) -> list[Frame]:
        """The next frames, [] if there are none now: then there may be some when the watcher is woken next."""
        ...


class EventStream:
    """Sends what `reading` yields until that ends, the client leaves or the gateway closes.

    It never holds more than one page: a client that is slow is given more when it is ready for it, and one that takes
    nothing for a minute is let go. The end of a stream does nothing to any task.
    """

    __slots__ = ("_feed", "_headers", "_pulse", "_reading", "_request", "_watcher")

    def __init__(
        self, feed: Feed, watcher: Bell, reading: Source, request: Request, headers: Iterable[Header] = ()
    ) -> None:
        self._feed = feed
        self._watcher = watcher
        self._reading = reading
        self._request = request
        self._headers = [*_HEADERS, *headers]
        self._pulse = feed.pulse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        listener = asyncio.create_task(self._notice_leaving())
        try:
            await self._send_all(send)
        finally:
            listener.cancel()

    async def _notice_leaving(self) -> None:
        try:
            await self._request.disconnected()
        finally:
            self._watcher.leave()

    async def _send_all(self, send: Send) -> None:
        text = b""
        while not self._over():
            frames = await self._reading.more()
            text = b"".join([frame.sse for frame in frames]) + self._sign_of_life()
            if self._over():
                break
            if not text:
                await self._watcher.woken()
            elif not await _taken(send, text, more=True):
                return
            text = b""
        if not self._watcher.left:
            await _taken(send, text + _COME_BACK, more=False)

    def _over(self) -> bool:
        return self._watcher.left or self._feed.closing or self._reading.ended or self._request.identity.revoked

    def _sign_of_life(self) -> bytes:
        if self._pulse == self._feed.pulse:
            return b""
        self._pulse = self._feed.pulse
        return _SIGN_OF_LIFE


async def _taken(send: Send, text: bytes, *, more: bool) -> bool:
    """Whether the client took `text`; `send` waits while too much is under way to it."""
    try:
        async with asyncio.timeout(_STALLED.total_seconds()):
            await send({"type": "http.response.body", "body": text, "more_body": more})
    except (TimeoutError, OSError):
        return False
    return True
