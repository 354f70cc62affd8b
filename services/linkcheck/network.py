"""A transport for httpx that visits public addresses only.

A name is resolved once, and the addresses found are judged before one of them is connected to. So neither a
redirect leads into the inside network, nor a name that changes its address after it was checked.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

Address = IPv4Address | IPv6Address

GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is assigned of IPv6 to the internet
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address it leads to


class UnknownHost(Exception):
    """The host has no address."""


class AddressRefused(Exception):
    """The host has an address that must not be visited."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to one machine on the internet, and is no way back inside (6to4, Teredo)."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in GLOBAL_UNICAST or address.sixtofour or address.teredo:
            return False
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> list[Address]:
    """All addresses of a host, IPv4 first: where there is no IPv6 route, that saves the wait."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as unknown:
        raise UnknownHost(f"{host} has no address") from unknown
    return sorted({ip_address(entry[4][0]) for entry in found}, key=lambda address: (address.version, address))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to hosts of which every address is public; to all hosts if `allow_private`."""

    def __init__(self, *, allow_private: bool) -> None:
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
        if port > 65535:
            raise httpcore.LocalProtocolError(f"{port} is no port")
        addresses = await resolve(host, port)
        for address in addresses:
            if not (self._allow_private or is_public(address)):
                raise AddressRefused(f"{host} is not on the public internet; LINKCHECK_ALLOW_PRIVATE would allow it")
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError):
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
        return await self._network.connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)


class GuardedTransport(httpx.AsyncBaseTransport):
    """HTTP over a guarded network, without proxies. Errors are those of httpcore and the two above."""

    def __init__(self, *, allow_private: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=100,
            keepalive_expiry=5.0,
            network_backend=GuardedNetwork(allow_private=allow_private),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                url,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=Body(answer), extensions=answer.extensions)

    async def aclose(self) -> None:
        await self._pool.aclose()


class Body(httpx.AsyncByteStream):
    """The body of an answer. Closing it unread ends the connection rather than reading the rest."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()
