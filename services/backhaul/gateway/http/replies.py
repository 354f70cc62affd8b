"""Answers as bare ASGI responses."""

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

Header = tuple[bytes, bytes]

JSON = b"application/json"


class Reply:
    """A whole answer: status, body and headers, rendered before it is sent.

    It can also refuse the handshake of a WebSocket (by ASGI's extension `websocket.http.response`).
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Iterable[Header] = (), *, media_type: bytes = JSON) -> None:
        self.status = status
        self.body = body
        self.headers: list[Header] = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        protocol = "websocket.http" if scope["type"] == "websocket" else "http"
        await send({"type": f"{protocol}.response.start", "status": self.status, "headers": self.headers})
        await send({"type": f"{protocol}.response.body", "body": self.body})


class Empty(Reply):
    """An answer without a body: 204 and 304."""

    __slots__ = ()

    def __init__(self, status: int, headers: Iterable[Header] = ()) -> None:
        super().__init__(status, b"")
        self.headers = list(headers)


def header(name: bytes, value: str | int) -> Header:
    return (name, str(value).encode("latin-1"))


def retry_after(seconds: int) -> Header:
    """When to ask again (RFC 9110 §10.2.3)."""
    return header(b"retry-after", seconds)
