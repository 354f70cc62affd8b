"""The processes of a production deployment: each a role, or several, over RabbitMQ and PostgreSQL."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.permissions import Permission
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.readiness import lacks_broker
from backhaul.settings import Settings
from backhaul.wiring.adapters import SHARE, open_broker, open_store, shared_sqlite
from backhaul.wiring.descriptors import allow_many_connections
from backhaul.wiring.exposure import require_keys, require_secret
from backhaul.wiring.garbage import calm_garbage_collector
from backhaul.wiring.logs import set_up_logs
from backhaul.wiring.permitted import lacking, needed_to_serve, needed_to_work
from backhaul.wiring.platform import Platform, build_workers, run_workers
from backhaul.wiring.signals import stop_on_signals
from backhaul.wiring.startup import Startup, StoppedEarly
from backhaul.wiring.tracing import tracing

if TYPE_CHECKING:
    from backhaul.wiring.health import Lacks, Misfits
    from backhaul.wiring.http import HttpServer
    from backhaul.wiring.metrics import Metrics

_log = logging.getLogger("backhaul")

DEFAULT_PORT = 8080


def run_gateway(settings: Settings) -> None:
    """A gateway, until SIGTERM or SIGINT. It starts, and accepts, while the broker is down."""
    require_secret(settings)
    _run(settings, lambda: _serve(settings, "gateway", gateway=True))


def run_ledger(settings: Settings) -> None:
    """A ledger, until SIGTERM or SIGINT."""
    _run(settings, lambda: _serve(settings, "ledger", ledger=True))


def run_notifier(settings: Settings) -> None:
    """A notifier, until SIGTERM or SIGINT."""
    _run(settings, lambda: _serve(settings, "notifier", notifier=True))


def run_server(settings: Settings) -> None:
    """Gateway, ledger and notifier in one process, until SIGTERM or SIGINT. Without a secret key, no notifier."""
    require_secret(settings)
    notifier = settings.secret_key is not None
    _run(settings, lambda: _serve(settings, "server", gateway=True, ledger=True, notifier=notifier))


def run_worker(settings: Settings, targets: Sequence[str], slots: int | None = None) -> None:
    """Workers for the services named by `targets` (`MODULE:SERVICE`), until SIGTERM or SIGINT."""
    _run(settings, lambda: _work(settings, targets, slots))


def _run(settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    set_up_logs(settings)
    with suppress(StoppedEarly), asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.get_loop().set_exception_handler(pass_over_given_up)
        runner.run(main())


def pass_over_given_up(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of a connection that was given up (we are to end, or it took too long) nobody hears the end any more: that is no
    fault of the program, as it would be told."""
    if not (isinstance(context.get("future"), asyncio.Future) and isinstance(context.get("exception"), OSError)):
        loop.default_exception_handler(context)


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists (not on Windows), else asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(
    settings: Settings, role: str, *, gateway: bool = False, ledger: bool = False, notifier: bool = False
) -> None:
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        startup = Startup(role, stop, address(settings) if gateway or settings.port is not None else None)
        if shared_sqlite(settings, role):
            _log.warning("SQLite is for one process, and a %s is one of several: %s", role, SHARE)
        store = await stack.enter_async_context(_started_store(settings, startup))
        if gateway:
            await require_keys(settings, store)
        if gateway or ledger:
            needed = needed_to_serve(gateway=gateway, ledger=ledger)
            broker = await stack.enter_async_context(
                _started_broker(settings, role, startup, needed, required=ledger and not gateway)
            )
        else:  # a notifier speaks to nobody but the store
            broker = open_broker(settings, role)
        tracer = stack.enter_context(tracing(settings, role))
        platform = Platform(store, broker, settings=settings, clock=SystemClock(), role=role, tracer=tracer)
        if ledger:
            platform.add_ledger()
        if notifier:
            platform.add_notifier()
        elif gateway and settings.secret_key is None:
            _log.info("webhooks are refused: BACKHAUL_SECRET_KEY is not set")
        server = (
            _http_server(platform, settings)
            if gateway
            else _health_server(settings, platform.metrics, platform.lacks, platform.misfits)
        )
        await stack.enter_async_context(platform.metrics.measuring())
        await stack.enter_async_context(platform.running())
        if server is not None:
            await stack.enter_async_context(server.running())
            _log.info("%s listens on %s", role, server.url)
        calm_garbage_collector()
        _log.info("%s is at work", role)
        await stop.wait()


def _http_server(platform: Platform, settings: Settings) -> "HttpServer":
    from backhaul.gateway import create_app
    from backhaul.wiring.http import HttpServer

    allow_many_connections()
    gateway = platform.add_gateway()
    return HttpServer(create_app(gateway), *address(settings), on_stop=gateway.drain, longest_message=settings.max_body)


def _health_server(
    settings: Settings, metrics: "Metrics", lacks: "Lacks", misfits: "Misfits" = tuple
) -> "HttpServer | None":
    """Served only where a port is set."""
    if settings.port is None:
        return None
    from backhaul.wiring.health import health_app
    from backhaul.wiring.http import HttpServer

    return HttpServer(health_app(lacks, metrics.scrape, misfits), *address(settings), on_stop=lambda: None)


def address(settings: Settings) -> tuple[str, int]:
    """Where to serve HTTP."""
    return settings.host, DEFAULT_PORT if settings.port is None else settings.port


async def _work(settings: Settings, targets: Sequence[str], slots: int | None) -> None:
    from backhaul.wiring.metrics import Metrics
    from backhaul.worker import load_services
    from backhaul.worker.metrics import readings as workers_readings

    services = load_services(targets, slots=slots)
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        startup = Startup("worker", stop, address(settings) if settings.port is not None else None)
        broker = await stack.enter_async_context(
            _started_broker(settings, "worker", startup, needed_to_work(services), required=True, feels=topology.CLAIMS)
        )
        tracer = stack.enter_context(tracing(settings, "worker"))
        workers = build_workers(services, broker, settings=settings, clock=SystemClock(), tracer=tracer)

        async def lacks() -> dict[str, str]:
            if (trouble := lacks_broker(broker)) is not None:
                return {"broker": f"{trouble}."}
            ready = all(worker.ready for worker in workers)
            return {} if ready else {"worker": "It takes no tasks yet, or no more."}

        metrics = Metrics("worker", lambda: workers_readings(workers))
        metrics.watch(broker)
        if (server := _health_server(settings, metrics, lacks)) is not None:
            await stack.enter_async_context(metrics.measuring())
            await stack.enter_async_context(server.running())
        calm_garbage_collector()
        await run_workers(workers, stop)


@asynccontextmanager
async def _started_store(settings: Settings, startup: Startup) -> AsyncIterator[Store]:
    store = open_store(settings, SystemClock())
    try:
        await startup.open_store(store)
        yield store
    finally:
        await store.stop()


@asynccontextmanager
async def _started_broker(
    settings: Settings,
    role: str,
    startup: Startup,
    needed: Sequence[Permission],
    *,
    required: bool,
    feels: str = "",
) -> AsyncIterator[Broker]:
    name = f"backhaul {role} on {socket.gethostname()}"
    broker = open_broker(settings, name, feels=feels)
    try:
        await startup.open_broker(broker, settings, partial(lacking, settings, needed, name), required=required)
        yield broker
    finally:
        await broker.stop()
