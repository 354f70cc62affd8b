"""The network as webhooks may see it: of a host every address must be on the internet, or nothing is sent.

A name is resolved once for each connection, all that is found is judged, and what is connected to is one of the judged
addresses: so a name that changes after it was checked leads nowhere else (DNS rebinding).
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address

import httpcore

from backhaul.core.addresses import Address, is_public

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""All addresses of a host. Raises `UnknownHost`."""


class UnknownHost(Exception):
    """The host has no address."""


class AddressRefused(Exception):
    """The host has an address that nothing may be sent to. The message does not say which: a guest may read it."""


class Resolver:
    """Asks the system, in threads of its own: a name server that does not answer holds up no other lookup here."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "backhaul-resolver")

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """IPv4 first: where there is no IPv6 route, that saves the wait."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _addresses, host, port)
        except (OSError, UnicodeError) as error:
            raise UnknownHost(f"{host} has no address") from error
        return sorted(found, key=lambda address: (address.version, address))

    def close(self) -> None:
        """Wait for nobody: a lookup that runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int) -> set[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return {ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}


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


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to hosts of which every address is public; to all hosts if `allow_private`."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore calls it so
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        if not addresses:
            raise UnknownHost(f"{host} has no address")
        if not self._allow_private and not all(map(is_public, addresses)):
            raise AddressRefused(f"{host} leads to a private address; BACKHAUL_WEBHOOK_ALLOW_PRIVATE would allow it")

        async def connect(address: Address) -> httpcore.AsyncNetworkStream:
            return _Wire(await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options))

        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await connect(address)
        return await connect(addresses[-1])
