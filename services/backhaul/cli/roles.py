"""Commands that run the platform or a part of it."""

from typing import Annotated

import typer

from backhaul.cli import inputs
from backhaul.cli.session import settings

_PANEL = "Run"
_TARGET = "A service: the module and the name in it, as in digest.service:service."

Targets = Annotated[list[str], typer.Argument(metavar="MODULE:SERVICE", help=_TARGET)]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (dev, server, gateway, ledger, notifier, worker):
        app.command(rich_help_panel=_PANEL)(command)


def dev(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="MODULE:SERVICE", help=f"{_TARGET} Default: the examples.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to serve on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: 8080; 0 takes any.")] = None,
    data: Annotated[
        str, typer.Option(metavar="DIR", help="Where tasks are kept; :memory: forgets them.")
    ] = ".backhaul",
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when a source file changes.")] = False,
) -> None:
    """Everything in one process, with no server to install."""
    from backhaul.embedded import run_dev

    configured = settings()
    if port is None:
        port = 8080 if configured.port is None else configured.port
    run_dev(
        configured, inputs.targets(targets or []), host=host or configured.host, port=port, data=data, reload=reload
    )


def server() -> None:
    """Gateway, ledger and notifier in one process, over RabbitMQ and PostgreSQL."""
    from backhaul.wiring import run_server

    run_server(settings())


def gateway() -> None:
    """Only the gateway: the HTTP edge."""
    from backhaul.wiring import run_gateway

    run_gateway(settings())


def ledger() -> None:
    """Only the ledger: keeps the record of all tasks."""
    from backhaul.wiring import run_ledger

    run_ledger(settings())


def notifier() -> None:
    """Only the notifier: sends webhooks."""
    from backhaul.wiring import run_notifier

    run_notifier(settings())


def worker(
    targets: Targets,
    slots: Annotated[int | None, typer.Option(min=1, help="Tasks at a time. Default: what the service says.")] = None,
) -> None:
    """A worker, which runs the handlers of one or more services."""
    from backhaul.wiring import run_worker

    run_worker(settings(), inputs.targets(targets), slots)
