"""A notifier by itself."""

import asyncio
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from backhaul.settings import Settings
from backhaul.wiring.processes import _serve
from tests.support.deadlines import within


class Begun(logging.Handler):
    """Tells when a role is at work."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "is at work" in record.getMessage():
            self.at_work.set()


async def test_it_needs_the_store_alone_and_speaks_to_no_broker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    called = asyncio.Event()
    begun = Begun()
    caplog.set_level(logging.INFO)
    logging.getLogger("backhaul").addHandler(begun)

    def broker(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        settings = Settings(
            amqp_url=SecretStr(f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"),
            database_url=SecretStr(f"sqlite:///{tmp_path / 'store.db'}"),
            secret_key=SecretStr("k" * 32),
        )
        running = asyncio.create_task(_serve(settings, "notifier", notifier=True))
        try:
            async with within():
                await begun.at_work.wait()
            assert not called.is_set()
            assert (
                caplog.text.count("SQLite is for one process, and a notifier is one of several: set BACKHAUL_DAT") == 1
            )
        finally:
            logging.getLogger("backhaul").removeHandler(begun)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
