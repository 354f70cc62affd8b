"""Serving HTTP: uvicorn, under our own signals and on a socket that we know."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import uvicorn
from starlette.types import ASGIApp

from backhaul.core.errors import ConfigurationError
from backhaul.wiring.beside import beside
from backhaul.wiring.connection import Connection
from backhaul.wiring.websocket import PING_EVERY, PONG_WITHIN, WebSocketConnection

_BACKLOG = 2_048
_GOODBYE_SECONDS = 5
_UNANSWERED = timedelta(seconds=60)
"""How long a peer may acknowledge nothing: one that has vanished without a word is found by the next sign of life."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than the proxies in front keep theirs (nginx: 60 s), so that they never send into a connection just closed."""


class HttpServer:
    """One listening socket with an application behind it."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, *, on_stop: Callable[[], None], longest_message: int | None = None
    ) -> None:
        """Binds at once, so that `url` is known. Raises `ConfigurationError` if the address cannot be had.

        `on_stop` is called when serving begins to end: it has to end what would hold connections open.
        `longest_message`: how many bytes a message on a WebSocket may have (a longer one ends the connection, 1009);
        None: there are none, and a wish for one is answered as the plain request that it is.
        """
        self._socket = _bind(host, port)
        self._on_stop = on_stop
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none" if longest_message is None else WebSocketConnection,
            ws_max_size=longest_message or 0,
            ws_per_message_deflate=False,  # its buffers weigh more than all else that an idle connection holds
            ws_ping_interval=PING_EVERY.total_seconds(),
            ws_ping_timeout=PONG_WITHIN.total_seconds(),
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GOODBYE_SECONDS,
            backlog=_BACKLOG,
        )
        self._server = _Server(config)

    @property
    def url(self) -> str:
        """Where it is served, with the real port."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the block lasts; requests that run then get a few seconds to end."""
        try:
            async with beside(self._server.serve(sockets=[self._socket]), end=self._end):
                yield
        finally:
            self._socket.close()

    def _end(self) -> None:
        self._on_stop()
        self._server.should_exit = True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process: it may hold more roles than this server."""
        yield


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)  # asyncio sends at once (TCP_NODELAY) only on a named protocol
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}: {error.strerror}: set BACKHAUL_HOST") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # where there is none, the system gives up after a quarter of an hour
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED // timedelta(milliseconds=1))
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}: stop what uses it, or set BACKHAUL_PORT"
        ) from error
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
