"""What the address of a role answers until the role can begin."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from backhaul.core.errors import Rejected
from backhaul.gateway.http.problems import problem_reply
from backhaul.gateway.http.replies import Reply, retry_after
from backhaul_contracts.problems import ProblemCode
from backhaul_contracts.wire import Json


def waiting_app(role: str, part: str, why: Callable[[], str | None] = lambda: None) -> ASGIApp:
    """Alive; all that is served here later is unavailable for want of `part`, `/readyz` too. `why` says in a few words
    what is wrong with it, if anybody knows.

    By a 404, clients of a gateway would be told that their task does not exist.
    """
    facts: dict[str, Json] = {"ready": False, "accepting": False, "down": [part], "misfits": []}
    alive = Reply(200, b'{"status":"ok"}')

    def unavailable() -> ASGIApp:
        known = f" ({reason})" if (reason := why()) else ""
        detail = f"The {role} begins as soon as the {part} is there{known}: try again."
        return problem_reply(Rejected(ProblemCode.UNAVAILABLE, detail), [retry_after(1)], facts)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (alive if scope["path"] == "/healthz" else unavailable())(scope, receive, send)

    return app
