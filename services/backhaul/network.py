"""The network as strangers may have it used: of a host every address must be on the internet, or nothing is connected.

For what goes where somebody else says, such as webhooks, or a service that fetches a URL from its input: network
backends for httpcore, whose pools take one as `network_backend`. A name is resolved once for each connection, all that
is found is judged, and what is connected to is one of the judged addresses: so neither a redirect nor a name that
changes after it was checked (DNS rebinding) leads into the network inside.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpcore

from backhaul.core.addresses import Address, is_public, read_address

__all__ = ["Address", "AddressRefused", "GuardedNetwork", "GuardedSyncNetwork", "Resolver", "UnknownHost", "is_public"]

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""All addresses of a host, in the order in which they are tried. Raises `UnknownHost`."""

_MOST_TRIED = 4
_LAST_PORT = 65_535


class UnknownHost(Exception):
    """The host has no address."""


class AddressRefused(Exception):
    """The host has an address that nothing may be sent to. The message does not say which: a guest may read it."""


async def resolve(host: str, port: int) -> Sequence[Address]:
    """What the system says, asked in threads of the event loop."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _unknown(host) from error
    return _ordered(found)


class Resolver:
    """Asks the system, in threads of its own: a name server that does not answer holds up no other lookup here."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "backhaul-resolver")

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port)

    def close(self) -> None:
        """Wait for nobody: a lookup that runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to hosts of which every address is public; to all hosts if `allow_private`.

    `setting`: what an operator sets to allow private ones, for the message. Besides what httpcore raises, it raises
    `UnknownHost` and `AddressRefused`.
    """

    def __init__(self, *, allow_private: bool, setting: str, resolve: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._setting = setting
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore calls it so
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        _check(port)
        *others, last = _judged(host, await self._resolve(host, port), self._allow_private, self._setting)

        async def connect(address: Address) -> httpcore.AsyncNetworkStream:
            return _Wire(await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options))

        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await connect(address)
        return await connect(last)


class GuardedSyncNetwork(httpcore.NetworkBackend):
    """`GuardedNetwork` for code that blocks: handlers in threads and processes."""

    def __init__(self, *, allow_private: bool, setting: str) -> None:
        self._allow_private = allow_private
        self._setting = setting
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        _check(port)
        *others, last = _judged(host, _look_up(host, port), self._allow_private, self._setting)
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
        return self._network.connect_tcp(str(last), port, timeout, local_address, socket_options)


def _look_up(host: str, port: int) -> Sequence[Address]:
    try:
        return _ordered(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        raise _unknown(host) from error


def _ordered(found: Iterable[tuple[object, object, object, object, tuple[object, ...]]]) -> Sequence[Address]:
    """IPv4 first: where there is no IPv6 route, that saves the wait."""
    return sorted({read_address(str(entry[4][0])) for entry in found}, key=lambda address: (address.version, address))


def _judged(host: str, addresses: Sequence[Address], allow_private: bool, setting: str) -> Sequence[Address]:
    """Those that are tried, at least one. A host may have more than anybody has time for."""
    if not addresses:
        raise _unknown(host)
    if not allow_private and not all(map(is_public, addresses)):
        raise AddressRefused(f"{host} is not on the public internet; {setting} would allow it")
    return addresses[:_MOST_TRIED]


def _check(port: int) -> None:
    if port > _LAST_PORT:
        raise httpcore.LocalProtocolError(f"{port} is no port")


def _unknown(host: str) -> UnknownHost:
    return UnknownHost(f"{host} has no address")


class _Wire(httpcore.AsyncNetworkStream):
    """A connection that is closed also when who waits for its handshake is told to stop."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
