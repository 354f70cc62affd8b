"""One HTTP request as the endpoints see it: what they need of it, read when they ask for it."""

from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope

from backhaul.core.deadlines import Deadline
from backhaul.core.errors import Rejected
from backhaul.core.schema.catalogue import decode
from backhaul.core.task.acceptance import faults
from backhaul.gateway.access.identity import Identity
from backhaul_contracts.problems import Fault, ProblemCode
from backhaul_contracts.wire import Json

M = TypeVar("M", bound=BaseModel)

_UPLOAD = Deadline(timedelta(seconds=30))
_THROWN_AWAY = 32 * 1024 * 1024


class Disconnected(Exception):
    """The client has gone: there is nobody to answer."""


class Unread(Rejected):
    """A refusal while more of the body may be under way: nothing else can be said on this connection."""


class Request:
    """`body_limit` is the most bytes that are read of the body."""

    __slots__ = ("_headers", "_receive", "body_limit", "identity", "scope", "traceparent")

    identity: Identity
    """Who calls. Known to calls that take a scope."""

    def __init__(self, scope: Scope, receive: Receive, body_limit: int) -> None:
        self.scope = scope
        self.body_limit = body_limit
        self.traceparent: str | None = None
        """What a task is traced by that this request makes."""
        self._receive = receive
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._headers = dict(headers)
        if len(self._headers) < len(headers):
            self._headers = _joined(headers)

    def header(self, name: bytes) -> str | None:
        """The value of a header (`name` in lower case), or None. Several lines of one are joined by commas."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def path(self, name: str) -> str:
        """A variable part of the path. Raises `Rejected` (`not_found`) if nothing can be called so in any store."""
        value: str = self.scope["path_params"][name]
        if "\x00" in value:
            raise Rejected(ProblemCode.NOT_FOUND, f"Nothing here is called {value!r}.")
        return value

    async def json(self) -> Json:
        """The body's value. Raises `Rejected` (400, 413, 415)."""
        return decode(await self._body())

    async def optional_json(self) -> Json:
        """Like `json`, and an empty object if there is no body."""
        body = await self._body()
        return decode(body) if body else {}

    async def disconnected(self) -> None:
        """Return when the client has gone. The body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _body(self) -> bytes:
        if self._declared() > (self.body_limit if b"expect" in self._headers else self.body_limit + _THROWN_AWAY):
            raise self._too_large()  # who asks first is told before anything is sent (RFC 9110 §10.1.1)
        body = bytearray()
        try:
            with _UPLOAD():
                await self._read(body)
        except TimeoutError:
            if max(len(body), self._declared()) > self.body_limit:
                raise self._too_large() from None
            raise Unread(
                ProblemCode.MALFORMED_JSON, f"The body was not complete within {_UPLOAD.seconds:.0f} seconds."
            ) from None
        if len(body) > self.body_limit:
            raise self._too_large()
        if body:
            self._check_media_type()
        return bytes(body)

    def _declared(self) -> int:
        return int(self._headers.get(b"content-length", 0))

    async def _read(self, body: bytearray) -> None:
        """Keep no more than shows that it is too much, but read on for a while: most clients listen only when they have
        sent everything, and hear nothing if the connection is closed while they do."""
        size, more = 0, True
        while more and size <= self.body_limit + _THROWN_AWAY:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if len(body) <= self.body_limit:
                body += part
            more = message.get("more_body", False)

    def _too_large(self) -> Rejected:
        return Unread(
            ProblemCode.PAYLOAD_TOO_LARGE,
            f"The body is larger than {self.body_limit} bytes, the limit here. Send large media by reference, "
            "or raise BACKHAUL_MAX_BODY.",
        )

    def _check_media_type(self) -> None:
        coding = self.header(b"content-encoding")
        if coding is not None and coding.strip().lower() not in ("", "identity"):
            raise _unsupported(f"The content coding {coding!r} is not supported: send the body as it is.")
        declared = self.header(b"content-type")
        if declared is None or declared == "application/json":
            return
        media_type = declared.partition(";")[0].strip().lower()
        if media_type != "application/json" and not (
            media_type.startswith("application/") and media_type.endswith("+json")
        ):
            raise _unsupported(f"The body is sent as {media_type!r}: send JSON as application/json.")


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Lines of the same name are one list (RFC 9110 §5.3)."""
    lines: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lines.setdefault(name, []).append(value)
    return {name: b", ".join(values) for name, values in lines.items()}


def _unsupported(detail: str) -> Rejected:
    return Rejected(ProblemCode.UNSUPPORTED_MEDIA_TYPE, detail)


def tenant_of(request: Request) -> str:
    """Whose tasks the request may see and make."""
    return request.identity.tenant


def parsed(model: type[M], body: Json) -> M:
    """What a client wrote, as `model` describes it. Raises `Rejected` (`invalid_input`), pointing at each fault."""
    if not isinstance(body, dict):
        detail = "The body must be a JSON object."
        raise Rejected(ProblemCode.INVALID_INPUT, detail, errors=[Fault(pointer="", detail=detail)])
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise Rejected(ProblemCode.INVALID_INPUT, "The body is not valid.", errors=faults(error)) from error
