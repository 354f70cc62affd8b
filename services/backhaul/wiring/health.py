"""Health of a process without an API: `/healthz` says that it lives, `/readyz` what it lacks; and its `/metrics`."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

Lacks = Callable[[], Awaitable[Mapping[str, str]]]
"""What is down of that which the process needs, each with a sentence: nothing, if it is ready."""

Scrape = Callable[[str], Awaitable[tuple[bytes, str]]]
"""The metrics of the process as a header `Accept` would have them, and their media type."""

Misfits = Callable[[], Sequence[str]]
"""What does not fit, a sentence each, and is to be mended by people: the process works, but not all is served."""


def health_app(lacks: Lacks, scrape: Scrape, misfits: Misfits = tuple) -> ASGIApp:
    """Answers `/healthz` with 200 as long as the loop turns, and `/readyz` with 200 or 503, naming what is `down`, why
    (`detail`), and `misfits`; `/metrics` with what `scrape` finds."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/healthz":
            await _answer(send, 200, {"status": "ok"})
        elif path == "/readyz":
            down = await lacks()
            readiness = {"ready": not down, "down": list(down), "misfits": list(misfits())}
            if down:
                readiness["detail"] = " ".join(down.values())
            await _answer(send, 503 if down else 200, readiness)
        elif path == "/metrics":
            await _send(send, 200, *await scrape(_accepted(scope)))
        else:
            await _answer(send, 404, {"detail": "This process serves /healthz, /readyz and /metrics only."})

    return app


async def _answer(send: Send, status: int, body: object) -> None:
    await _send(send, status, json.dumps(body).encode(), "application/json")


async def _send(send: Send, status: int, body: bytes, media_type: str) -> None:
    headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _accepted(scope: Scope) -> str:
    values: list[bytes] = [value for name, value in scope["headers"] if name == b"accept"]
    return b",".join(values).decode("latin-1")
