"""What a process writes: one line an event, for people on a terminal, as JSON for machines."""

import json
import logging
import sys
from datetime import UTC, datetime

from backhaul.core.tracing import FACTS
from backhaul.settings import Settings
from backhaul_contracts.wire import format_time


def set_up_logs(settings: Settings) -> None:
    """Send the logs of this process to standard error, in the configured format."""
    handler = logging.StreamHandler(sys.stderr)
    console = settings.log_format == "console" or (settings.log_format is None and sys.stderr.isatty())
    handler.setFormatter(_Console() if console else _Json())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for chatty in ("asyncio", "uvicorn", "httpcore", "httpx", "websockets", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # it tells of every retry


class _Console(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s  %(message)s", datefmt="%H:%M:%S")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": format_time(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **FACTS.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
