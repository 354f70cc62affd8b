"""`WS /v1/ws`: many tasks on one connection, as bare ASGI."""

from starlette.types import ASGIApp, Receive, Scope, Send

from backhaul.core.errors import Rejected, StoreUnavailable
from backhaul.gateway.api.conversation import Conversation
from backhaul.gateway.api.events import Events
from backhaul.gateway.api.steering import Steering
from backhaul.gateway.api.submissions import Submissions
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.problems import OPERATION, known_fault, problem_reply
from backhaul.gateway.http.queries import invalid
from backhaul.gateway.http.replies import Header
from backhaul.gateway.http.request import Request
from backhaul_contracts.conversation import SUBPROTOCOL
from backhaul_contracts.problems import ProblemCode

PATH = "/v1/ws"
_KEY = "bearer."
_WANTED: list[Header] = [(b"upgrade", b"websocket"), (b"connection", b"upgrade"), (b"sec-websocket-version", b"13")]
"""What tells a client how to ask (RFC 9110 §15.5.22, RFC 6455 §4.4)."""


class WebSocket:
    """The endpoint. What it refuses is told as a problem, in place of the handshake."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._submissions = Submissions(gateway, Events(gateway))
        self._steering = Steering(gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        scope[OPERATION] = "websocket"
        try:
            subprotocol = self._checked(scope)
            identity = await self._gateway.access.identify(_authorization(scope))
            self._gateway.limits.spend(identity)
            self._gateway.limits.check_stream(identity)
        except (Rejected, StoreUnavailable) as refusal:
            await known_fault(refusal)(scope, receive, send)
            return
        with self._gateway.limits.streaming(identity):  # counted before anything is awaited: another may come meanwhile
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
            await Conversation(self._gateway, self._submissions, self._steering, identity, receive, send).run()

    def _checked(self, scope: Scope) -> str | None:
        """The subprotocol that is spoken; None if the client has named none: it gets the same."""
        if scope["path"] != PATH:
            raise Rejected(ProblemCode.NOT_FOUND, f"There is no WebSocket at {scope['path']}: it is at {PATH}.")
        offered = scope["subprotocols"]
        if offered and SUBPROTOCOL not in offered:
            raise invalid("Sec-WebSocket-Protocol", f"The subprotocol spoken here is {SUBPROTOCOL}.")
        return SUBPROTOCOL if offered else None


async def upgrade_required(request: Request) -> ASGIApp:
    """The answer to a plain GET where only a WebSocket can be had."""
    detail = f"There is nothing but a WebSocket at {PATH}: ask for an upgrade of the connection."
    return problem_reply(Rejected(ProblemCode.UPGRADE_REQUIRED, detail), _WANTED)


def _authorization(scope: Scope) -> str | None:
    """What a client shows to be let in. Pages can send no headers, so they offer their key as a subprotocol."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            text: str = value.decode("latin-1")
            return text
    offered = (protocol.removeprefix(_KEY) for protocol in scope["subprotocols"] if protocol.startswith(_KEY))
    bare = next(offered, None)
    return None if bare is None else f"Bearer {bare}"
