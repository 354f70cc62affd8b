"""Chance by a seed: whatever of the product draws ids, tokens or times of its own draws them from the simulation."""

import random
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from fastapi.routing import APIRoute
from starlette.routing import compile_path

from backhaul.worker.attempts.attempts import Attempts
from backhaul_contracts import ids
from backhaul_contracts.claims import Grant
from tests.simulation.loop import START, SimulatedLoop
from tests.simulation.receivers import SimulatedPost
from tests.simulation.witness import saw_grant

_START_NS = int(START.timestamp()) * 1_000_000_000


def _lean_route(route: APIRoute, path: str, endpoint: Any, **options: Any) -> None:
    """What FastAPI works out for its own kind of endpoint and for OpenAPI is wanted by nobody here."""
    vars(route).update(options, path=path, endpoint=endpoint, path_regex=_compiled(path))


@cache
def _compiled(path: str) -> re.Pattern[str]:
    return compile_path(path)[0]


@contextmanager
def repeatable(loop: SimulatedLoop, draw: random.Random) -> Iterator[None]:
    """Inside, ids, lease tokens and trace ids repeat themselves (all other chance is handed in where it is used), and
    grants are witnessed. The reaper looks around more often, and what a notifier has taken is due again sooner, in step
    with a lease that is shorter than usual. Webhooks go to the receivers of the simulation."""
    start = Attempts.start

    def seen_start(attempts: Attempts, grant: Grant, *others: Any) -> None:
        saw_grant(grant)
        start(attempts, grant, *others)

    clock = SimpleNamespace(time_ns=lambda: _START_NS + int(loop.time() * 1_000_000_000))
    with ExitStack() as stack:
        for target, replacement in (
            ("backhaul_contracts.ids.os", SimpleNamespace(urandom=draw.randbytes)),
            ("backhaul_contracts.ids.time", clock),
            ("backhaul_contracts.ids._counter", ids._Counter()),
            ("backhaul.store.claiming.token_urlsafe", lambda size: draw.randbytes(size).hex()),
            ("fastapi.routing.APIRoute.__init__", _lean_route),
            ("backhaul.ledger.reaper._SWEEP", timedelta(seconds=1)),
            ("backhaul.ledger.reaper._OWED_AFTER", timedelta(seconds=2)),
            ("backhaul.ledger.reaper._BALANCE", timedelta(seconds=2)),
            ("backhaul.worker.attempts.attempts.Attempts.start", seen_start),
            ("backhaul.notifier.notifier.Post", SimulatedPost),
            ("backhaul.notifier.notifier.LEASE", timedelta(seconds=4)),
            ("backhaul.notifier.notifier.SystemRandom", lambda: draw),
            ("backhaul.store.mailing.token_urlsafe", lambda size: draw.randbytes(size).hex()),
            ("backhaul.core.webhooks.secrets", SimpleNamespace(token_bytes=draw.randbytes)),
            ("backhaul.worker.worker.Watchdog", nullcontext),  # a thread, on real time
            (
                "backhaul.gateway.http.problems.secrets",
                SimpleNamespace(token_hex=lambda size: draw.randbytes(size).hex()),
            ),
        ):
            stack.enter_context(patch(target, replacement))
        yield
