"""Health of a process without an API: `/healthz` says that it lives, `/readyz` what it lacks."""

import json
from collections.abc import Awaitable, Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

Lacks = Callable[[], Awaitable[Sequence[str]]]
"""What is down of that which the process needs: nothing, if it is ready."""

Misfits = Callable[[], Sequence[str]]
"""What does not fit, a sentence each, and is to be mended by people: the process works, but not all is served."""


def health_app(lacks: Lacks, misfits: Misfits = tuple) -> ASGIApp:
    """Answers `/healthz` with 200 as long as the loop turns, and `/readyz` with 200 or 503, naming what is `down`, and
    `misfits`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/healthz":
            await _answer(send, 200, {"status": "ok"})
        elif path == "/readyz":
            down = list(await lacks())
            readiness = {"ready": not down, "down": down, "misfits": list(misfits())}
            await _answer(send, 503 if down else 200, readiness)
        else:
            await _answer(send, 404, {"detail": "This process serves /healthz and /readyz only."})

    return app


async def _answer(send: Send, status: int, body: object) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
