"""`backhaul dev`: the embedded platform as a process that stays up."""

import asyncio
import importlib.util
import shlex
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from backhaul.core.errors import ConfigurationError
from backhaul.embedded.embedded import embedded
from backhaul.embedded.folder import MEMORY
from backhaul.settings import Settings
from backhaul.wiring.garbage import calm_garbage_collector
from backhaul.wiring.logs import set_up_logs
from backhaul.wiring.processes import event_loop_factory
from backhaul.wiring.signals import stop_on_signals
from backhaul.worker import Service, load_services

EXAMPLES = (
    "digest.service:service",
    "linkcheck.service:service",
    "thumbnail.service:service",
    "report.service:service",
)


def run_dev(
    settings: Settings, targets: Sequence[str], *, host: str, port: int, data: str, reload: bool = False
) -> None:
    """Serve until SIGTERM or Ctrl-C. Without targets the example services run, where they are installed.

    `reload`: start anew whenever a Python file below the working directory changes; tasks go on after it.
    """
    if reload:
        _restart_on_changes([*targets, "--host", host, "--port", str(port), "--data", data])
        return
    set_up_logs(settings)
    settings = settings.model_copy(update={"host": host, "port": port})
    names = list(targets) or _examples()
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(_serve(settings, names, host, port, data))


async def _serve(settings: Settings, names: Sequence[str], host: str, port: int, data: str) -> None:
    services = load_services(names)
    with stop_on_signals() as stop:
        async with embedded(services, data=data, host=host, port=port, settings=settings) as platform:
            calm_garbage_collector()
            _say(_greeting(platform.url, services, data))
            await stop.wait()
            _say(_farewell(settings.drain_grace))


def _restart_on_changes(arguments: Sequence[str]) -> None:
    from watchfiles import PythonFilter, run_process

    command = shlex.join([sys.executable, "-m", "backhaul", "dev", *arguments])
    run_process(".", target=command, target_type="command", watch_filter=PythonFilter())


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _farewell(grace: timedelta) -> str:
    return f"Stopping: what runs has {grace.total_seconds():g} s to end. Ctrl-C again ends it on the spot.\n"


def _greeting(url: str, services: Sequence[Service], data: str) -> str:
    kinds = ", ".join(kind for service in services for kind in service.handlers)
    folder = "in memory only" if data == MEMORY else Path(data).resolve()
    return f"Backhaul is up at {url}\n  kinds  {kinds}\n  data   {folder}\n  stop   Ctrl-C\n"


def _examples() -> list[str]:
    found = [target for target in EXAMPLES if importlib.util.find_spec(target.partition(".")[0])]
    if not found:
        raise ConfigurationError("no service was named and the examples are not installed: give MODULE:SERVICE")
    return found
