"""One HTTP connection: whoever begins a request has to say within bounds what it is."""

import asyncio
from datetime import timedelta
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_PATIENCE = timedelta(seconds=20)
BODY_PATIENCE = timedelta(seconds=30)
LONGEST_HEAD = 64 * 1024

_OF_THE_WISH = (b"upgrade", b"http2-settings")


class Connection(HttpToolsProtocol):
    """Lets go of a client whose request line and headers do not end, in time (slowloris) or in size; or whose body does
    not, when it is answered already.

    The bounds of a body that is read are the application's, and those between two requests are uvicorn's. A wish for
    another protocol than WebSocket is passed over, as if it had not been there (RFC 9110 §7.8).
    """

    # Thousands of connections are idle: attributes added behind uvicorn's own would cost each a kilobyte (PEP 412).
    __slots__ = ("_head_alone", "_head_size", "_impatience", "_in_body", "_in_head")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = _Parser(self)
        self._in_head = True
        self._in_body = False
        self._head_size = 0
        self._head_alone = True
        """Whether nothing stands in front of the head in what has just been received."""
        self._impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._lose_patience_later(HEAD_PATIENCE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm_down()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if not self.declines:
            self._in_head, self._in_body = False, True
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.declines:
            self._in_body = self._head_alone = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._unread:
            self._lose_patience_later(BODY_PATIENCE)

    def data_received(self, data: bytes) -> None:
        self._head_alone = not self._in_body
        super().data_received(data)
        if not self._in_head:
            if not self._unread:
                self._calm_down()
            return
        if self._head_alone:
            self._head_size += len(data)
        if self._head_size > LONGEST_HEAD:
            self.send_400_response(f"The head of the request is larger than {LONGEST_HEAD} bytes.")
        self._lose_patience_later(HEAD_PATIENCE)

    @property
    def declines(self) -> bool:
        """Whether the request that is being read wishes for a protocol that it does not get."""
        wished = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        return bool(wished and not self._should_upgrade())

    def head_without_wish(self) -> bytes:
        """The head of the request that has just been read, without the wish for another protocol."""
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = [(name, _rest_of(value) if name == b"connection" else value) for name, value in self.headers]
        lines = [b"%b: %b" % (name, value) for name, value in fields if name not in _OF_THE_WISH]
        return b"\r\n".join([line, *lines, b"", b""])

    @property
    def _unread(self) -> bool:
        """Whether the body is still under way though the request is answered."""
        return self._in_body and self.cycle.response_complete

    def _should_upgrade(self) -> bool:
        """Only a GET may (RFC 6455, 4.1): anything else is answered as the plain request that it is."""
        return bool(self.parser.get_method() == b"GET" and super()._should_upgrade())

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: that a client would like another protocol is no fault of this process."""

    def _lose_patience_later(self, patience: timedelta) -> None:
        if self._impatience is None and not self.transport.is_closing():
            self._impatience = self.loop.call_later(patience.total_seconds(), self.transport.close)

    def _calm_down(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None


class _Parser(httptools.HttpRequestParser):
    """Where httptools takes all that follows a wish for another protocol for that protocol, even the body of the
    request, this one has it read anew without the wish, by another parser."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._connection = connection
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        reader = self
        while True:  # a client may send any number of such wishes at once
            try:
                super(_Parser, reader).feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._connection.declines:
                    raise
                data = self._connection.head_without_wish() + data[upgrade.args[0] :]
                reader = self._connection.parser = _Parser(self._connection)
            else:
                return


def _rest_of(connection: bytes) -> bytes:
    """The options of a `Connection` header that have nothing to do with the wish."""
    options = (option.strip() for option in connection.split(b","))
    return b", ".join(option for option in options if option.lower() not in _OF_THE_WISH)
