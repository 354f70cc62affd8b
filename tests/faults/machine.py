"""On what a run ran."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.support.postgresql import PrivatePostgreSQL
from tests.support.rabbitmq import PrivateRabbitMQ

_PARTS = ("aiormq", "aio-pika", "asyncpg", "sqlalchemy", "fastapi", "uvicorn")


def machine() -> dict[str, str]:
    """The computer, in a few words."""
    model = re.search(r"model name\s*: (.*)", _text(Path("/proc/cpuinfo")))
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }


async def versions(broker: PrivateRabbitMQ, database: PrivatePostgreSQL) -> dict[str, str]:
    """What ran. `revision` is that of the sources; `+` means that they were changed since."""
    rabbit = await broker.evaluate("element(2, application:get_key(rabbit, vsn))")
    return {
        "revision": _revision(),
        "Python": platform.python_version(),
        "RabbitMQ": rabbit.strip('"'),
        "PostgreSQL": database.version,
        **{part: version(part) for part in _PARTS},
    }


def _revision() -> str:
    short = _git("rev-parse", "--short", "HEAD") or "unknown"
    return short + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
