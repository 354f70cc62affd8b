"""One HTTP connection: whoever begins a request has to say within bounds what it is."""

import asyncio
from datetime import timedelta
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_PATIENCE = timedelta(seconds=20)
LONGEST_HEAD = 64 * 1024


class Connection(HttpToolsProtocol):
    """Lets go of a client whose request line and headers do not end, in time (slowloris) or in size.

    The bounds of a body are the application's, and those between two requests are uvicorn's.
    """

    # Thousands of connections are idle: attributes added behind uvicorn's own would cost each a kilobyte (PEP 412).
    __slots__ = ("_head_size", "_impatience", "_in_head")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._head_size = 0
        self._impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._lose_patience_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm_down()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            self._calm_down()
            return
        self._head_size += len(data)
        if self._head_size > LONGEST_HEAD:
            self.send_400_response(f"The head of the request is larger than {LONGEST_HEAD} bytes.")
        self._lose_patience_later()

    def _should_upgrade(self) -> bool:
        """Only a GET may (RFC 6455, 4.1): anything else is answered as the plain request that it is."""
        return bool(self.parser.get_method() == b"GET" and super()._should_upgrade())

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: that a client would like another protocol is no fault of this process."""

    def _lose_patience_later(self) -> None:
        if self._impatience is None and not self.transport.is_closing():
            self._impatience = self.loop.call_later(HEAD_PATIENCE.total_seconds(), self.transport.close)

    def _calm_down(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
