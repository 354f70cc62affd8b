"""The loopback guard: what a browser is tricked into sending to this machine is not served."""

import re
from collections.abc import Collection
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from backhaul.core.errors import Rejected
from backhaul.gateway.http.problems import problem_reply
from backhaul_contracts.problems import ProblemCode

_HERE = r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
_HOST = re.compile(rf"^{_HERE}$", re.IGNORECASE)
_ORIGIN = re.compile(rf"^https?://{_HERE}$", re.IGNORECASE)


class LoopbackGuard:
    """Serves only requests that name this machine as their host and, if they come from a web page, as their origin.

    A page of another site can make a browser call a server on loopback, by a name of its own that it points here (DNS
    rebinding: the Host header shows it) or outright (the Origin header shows it).
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        """`origins`: pages from elsewhere that may call all the same. `*` is none: an API that may be open would be
        open to the whole Web."""
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            refusal = _refusal(scope, self._origins)
            if refusal is not None:
                await problem_reply(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether what is bound to `host` can be reached from this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _refusal(scope: Scope, origins: Collection[str]) -> Rejected | None:
    hosts = []
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value.decode("latin-1"))
        elif name == b"origin" and not _is_here(origin := value.decode("latin-1"), origins):
            return _forbidden(f"Pages of {origin!r} may not call this API, which is bound to loopback.")
    for host in hosts or [""]:
        if not _HOST.match(host):
            return _forbidden(
                f"This API is bound to loopback, not known as {host!r}: call it by 127.0.0.1 or localhost."
            )
    return None


def _is_here(origin: str, origins: Collection[str]) -> bool:
    return _ORIGIN.match(origin) is not None or origin in origins


def _forbidden(detail: str) -> Rejected:
    return Rejected(ProblemCode.FORBIDDEN, detail)
