"""A gateway that answers by a script, on a real socket: what a client meets on a bad day, exactly as it is written."""

import json
import socket
import struct
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, urlsplit

from backhaul_contracts.problems import PROBLEM_JSON, TYPE_BASE, ProblemCode


@dataclass(frozen=True, slots=True)
class Request:
    """What the client sent; header names are lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


class Answer(Protocol):
    """One step of the script."""

    def send(self, handler: BaseHTTPRequestHandler) -> None: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, JSON if it has a body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        content = b"" if self.body is None else json.dumps(self.body).encode()
        handler.send_response(self.status)
        for name, value in {"Content-Type": "application/json", **self.headers}.items():
            handler.send_header(name, value)
        if self.status != 204:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


def refusal(code: ProblemCode, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> Reply:
    """A problem, as the gateway words it."""
    problem = {"type": TYPE_BASE + code, "title": code.headline, "status": code.status, "code": code, "detail": detail}
    return Reply(code.status, problem, {"Content-Type": PROBLEM_JSON, **(headers or {})})


@dataclass(frozen=True, slots=True)
class Stream:
    """An event stream: its pieces, each in a chunk of its own, then an orderly end or a broken connection.

    A piece that is a `threading.Event` is set when the stream gets there; `until` holds it open at its end.
    """

    pieces: Sequence[bytes | threading.Event]
    broken: bool = False
    until: threading.Event | None = None

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in self.pieces:
            if isinstance(piece, threading.Event):
                piece.set()
            elif piece:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if self.until is not None:
            self.until.wait(20)
        if self.broken:
            Drop().send(handler)
        else:
            handler.wfile.write(b"0\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection ends without another byte; `reset` kills it, else it is closed."""

    reset: bool = False

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        if self.reset:
            at_once = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        handler.close_connection = True


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer until it is told to drop the connection; `heard` is set when the request has come."""

    until: threading.Event
    heard: threading.Event = field(default_factory=threading.Event)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        self.heard.set()
        self.until.wait(20)
        handler.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may end a connection that it has no more use for in whatever way."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ScriptedGateway:
    """Answers each request with the next step of its script, whatever it asks for, and remembers it."""

    def __init__(self, *script: Answer) -> None:
        self.requests: list[Request] = []
        self._script = list(script)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def left(self) -> int:
        """How much of the script has not been asked for."""
        return len(self._script)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def then(self, *script: Answer) -> None:
        """Go on with these."""
        self._script.extend(script)

    def _next(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            return self._script.pop(0) if self._script else refusal(ProblemCode.INTERNAL, "the script is over")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                answer = gateway._next(_request(self))
                try:
                    answer.send(self)
                except ConnectionError:
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def _request(handler: BaseHTTPRequestHandler) -> Request:
    url = urlsplit(handler.path)
    content = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    return Request(
        method=handler.command,
        path=url.path,
        query=parse_qs(url.query),
        headers={name.lower(): value for name, value in handler.headers.items()},
        body=json.loads(content) if content else None,
    )
