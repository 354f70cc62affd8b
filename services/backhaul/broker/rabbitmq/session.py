"""One live connection to RabbitMQ, from a successful handshake to its end."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

import aiormq
from aiormq.connection import TransportFactory
from pamqp.commands import Channel as Methods
from pamqp.commands import Confirm
from yarl import URL

from backhaul.broker.rabbitmq.channel import Channel, ChannelUser
from backhaul.broker.rabbitmq.errors import CONNECT_ERRORS, ChannelLost, Refusal, UnreadableFile, refusal
from backhaul.broker.rabbitmq.wire import Wire

CONNECT_TIMEOUT = 10.0
CLOSE_TIMEOUT = 5.0

# All that aiormq has to tell reaches us as errors, and is logged by us, in one line each.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class RefusedError(Exception):
    """The connection could not be opened."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _Streams(TransportFactory):
    """Gives aiormq streams whose bytes pass through our `Wire`."""

    def __init__(self) -> None:
        self.wire: Wire | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        provider = options.pop("ssl_context_provider")
        try:
            context = await provider.get_context() if url.scheme == "amqps" else None
        except (OSError, ValueError) as error:  # what OpenSSL says is an OSError, too
            raise UnreadableFile(_of_file(url, error)) from error
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        transport, self.wire = await loop.create_connection(
            lambda: Wire(reader, loop), url.host or "localhost", url.port or 5672, ssl=context, **options
        )
        self.writer = asyncio.StreamWriter(transport, self.wire, reader, loop)
        return reader, self.writer


class Session:
    """A connection that was opened. When `lost` is done it is over, with all its channels."""

    def __init__(self, connection: aiormq.Connection, wire: Wire, writer: asyncio.StreamWriter) -> None:
        self.wire = wire
        self.frame_max = connection.connection_tune.frame_max or 131_072
        self._connection = connection
        self._writer = writer
        self._most_channels = connection.connection_tune.channel_max or 65_535

    @classmethod
    async def open(cls, url: URL, *, name: str, heartbeat: timedelta) -> Self:
        """Connect, and return when the broker has accepted us. `name` is what its management UI shows.

        Raises `RefusedError`, with the reason.
        """
        streams = _Streams()
        options = {"name": name, "heartbeat": str(int(heartbeat.total_seconds()))}
        connection = aiormq.Connection(url.update_query(options), transport_factory=streams)
        try:
            await _apart(connection.connect(), CONNECT_TIMEOUT)
        except CONNECT_ERRORS as error:
            told = (streams.wire.farewell, streams.wire.foreign) if streams.wire is not None else ()
            raise RefusedError(refusal(url, error, *told)) from error
        if streams.wire is None or streams.writer is None:
            raise RuntimeError("aiormq connected without asking for streams")
        return cls(connection, streams.wire, streams.writer)

    @property
    def properties(self) -> dict[str, str]:
        """What the broker has told of itself: `product`, `version`, `cluster_name` and more."""
        told = self._connection.server_properties
        return {name: value for name, value in told.items() if isinstance(value, str)}

    @property
    def lost(self) -> "asyncio.Future[str]":
        """Done, with the reason, when the connection is over."""
        return self.wire.lost

    async def channel(self, user: ChannelUser | None = None, *, confirms: bool = False) -> Channel:
        """A new channel. Raises `ChannelLost` and `TimeoutError`."""
        if self.lost.done():
            raise ChannelLost(None, self.lost.result())
        number = next((n for n in range(1, self._most_channels) if n not in self.wire.sinks), None)
        if number is None:
            raise ChannelLost(None, f"all {self._most_channels} channels of the connection are in use")
        channel = Channel(self.wire, number, answers_cancel=self._connection.accept_consumer_cancel_ok)
        self.wire.sinks[number] = channel
        try:
            await channel.call(Methods.Open(), *((Confirm.Select(),) if confirms else ()))
        except BaseException:
            channel.close()
            raise
        channel.user = user
        if channel.error is not None:  # it ended before its user could have heard of it
            raise channel.error
        return channel

    async def drain(self) -> None:
        """Return when the connection can take more bytes. Raises `ConnectionError` when it is lost."""
        await self._writer.drain()

    async def watch(self, silence: timedelta) -> str:
        """Wait for the end of the connection, and return the reason.

        The broker is heard every few seconds, by heartbeats at least: after a longer `silence` the connection is
        given up. (aiormq would wait for more than three heartbeats, which is nearly a lease.)
        """
        limit = silence.total_seconds()
        while not self.lost.done():
            quiet = asyncio.get_running_loop().time() - self.wire.heard_at
            if quiet >= limit:
                self.wire.abort()
                return f"nothing was heard for {quiet:.0f} s"
            await asyncio.wait((self.lost,), timeout=limit - quiet)
        return self.lost.result()

    async def close(self) -> None:
        """Close in order if the broker still answers, else drop the connection."""
        self.wire.flush()
        try:
            with suppress(*CONNECT_ERRORS):
                await _apart(self._connection.close(), CLOSE_TIMEOUT)
        finally:
            self.wire.abort()


def _of_file(url: URL, error: OSError | ValueError) -> str:
    named = ", ".join(url.query[name] for name in ("cafile", "capath", "certfile", "keyfile") if name in url.query)
    return f"{named}: {getattr(error, 'strerror', None) or error}".partition(" (_ssl.c")[0]


async def _apart(work: Coroutine[Any, Any, object], limit: float) -> None:
    """Await something of aiormq in a task of its own.

    aiormq can answer a cancellation with another error, and raise `CancelledError` where nobody has cancelled.

    Raises `TimeoutError` after `limit` seconds, and what the work raises.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait((task,), timeout=limit)
    finally:
        task.cancel()
    if not task.done() or task.cancelled():
        raise TimeoutError
    task.result()
