"""The whole platform in this process: every role, and HTTP on a loopback port."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

from pydantic import SecretStr
from starlette.types import ASGIApp

from backhaul.core.clock import Clock
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.gateway import create_app
from backhaul.settings import Settings
from backhaul.wiring.exposure import require_keys
from backhaul.wiring.http import HttpServer
from backhaul.wiring.platform import Platform
from backhaul.worker import Service


@dataclass(frozen=True, slots=True)
class InProcess:
    """A running platform: where it serves, and its parts."""

    url: str
    app: ASGIApp
    platform: Platform


def at_home(settings: Settings) -> Settings:
    """Where nothing is said otherwise: webhooks may lead to this machine, and secrets last as long as the process."""
    here: dict[str, Any] = {}
    if "webhook_allow_private" not in settings.model_fields_set:
        here["webhook_allow_private"] = True
    if settings.secret_key is None:
        here["secret_key"] = SecretStr(token_urlsafe(32))
    return settings.model_copy(update=here)


@asynccontextmanager
async def in_process(
    services: Sequence[Service],
    store: Store,
    broker: Broker,
    *,
    settings: Settings,
    clock: Clock,
    host: str = "127.0.0.1",
    port: int = 0,
    tracer: Tracer = UNTRACED,
) -> AsyncIterator[InProcess]:
    """Start store, broker, ledger, notifier, a worker for each service, and a gateway; on leaving, end them in good
    order.

    Inside the block every service has announced its kinds.

    The store must be this platform's alone: work that was under way when it last ended is taken up again at once.
    """
    settings = at_home(settings).model_copy(update={"host": host})
    platform = Platform(store, broker, settings=settings, clock=clock, role="embedded", tracer=tracer)
    gateway = platform.add_gateway()
    app = create_app(gateway)
    try:
        await store.start()
        await require_keys(settings, store)
        server = HttpServer(app, host, port, on_stop=gateway.drain, longest_message=settings.max_body)
        await store.end_leases()
        await broker.start()
        await broker.declare(topology.platform(settings.ledger_shards))
        platform.add_ledger(alone=True)
        platform.add_notifier()
        platform.add_workers(services)
        async with platform.running(), platform.metrics.measuring(), server.running():
            for worker in platform.workers:
                await worker.announced.wait()
            yield InProcess(server.url, app, platform)
    finally:
        await broker.stop()
        await store.stop()
