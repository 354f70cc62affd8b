"""Where a picture comes from: the task itself, or an address on the public internet."""

import binascii
import socket
from collections.abc import Callable, Iterable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urljoin

import httpcore

Told = Callable[[int, int | None], None]
"""Hears how many bytes have come, and of how many."""

GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is assigned of IPv6 to the internet
MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
ASKED: tuple[tuple[bytes | str, bytes | str], ...] = (
    ("User-Agent", "backhaul-thumbnail"),
    ("Accept", "image/*"),
    ("Accept-Encoding", "identity"),
)
SECONDS = {"connect": 10.0, "read": 20.0, "write": 10.0, "pool": 10.0}


class Refused(Exception):
    """There is no such picture, or it must not be fetched; the same will hold later. The message is for the client."""


class Unavailable(Exception):
    """The picture could not be fetched just now."""


def decode(text: str) -> bytes:
    """The bytes in base64 text, which may be a `data:` URL (RFC 2397). Raises `Refused`."""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise Refused("The data: URL is not in base64.")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise Refused(f"The image is not base64: {error}.") from error


def fetch(url: str, *, max_bytes: int, allow_private: bool, tell: Told) -> bytes:
    """What is at `url`, at most `max_bytes`. Raises `Refused` and `Unavailable`."""
    network = PublicNetwork(allow_private=allow_private)
    with closing(httpcore.ConnectionPool(network_backend=network)) as pool:
        try:
            for _ in range(MAX_REDIRECTS + 1):
                found = _get(pool, url, max_bytes, tell)
                if isinstance(found, bytes):
                    return found
                url = found
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError, ValueError) as error:
            raise Refused(f"{url} is no http or https address.") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise Unavailable(f"{url} does not answer as it should: {str(error) or type(error).__name__}") from error
    raise Refused(f"There are more than {MAX_REDIRECTS} redirects.")


def _get(pool: httpcore.ConnectionPool, url: str, max_bytes: int, tell: Told) -> bytes | str:
    """The body, or where it has gone."""
    with pool.stream("GET", url, headers=ASKED, extensions={"timeout": SECONDS}) as answer:
        fields = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
        if answer.status in REDIRECTS and b"location" in fields:
            return urljoin(url, fields[b"location"])
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise Unavailable(f"{url} answers {answer.status}")
        if answer.status != 200:
            raise Refused(f"{url} answers {answer.status}.")
        length = fields.get(b"content-length", "")
        return _read(answer.iter_stream(), int(length) if length.isdecimal() else None, max_bytes, tell)


def _read(parts: Iterable[bytes], length: int | None, max_bytes: int, tell: Told) -> bytes:
    body = bytearray()
    if (length or 0) <= max_bytes:
        for part in parts:
            body += part
            tell(len(body), length)
            if len(body) > max_bytes:
                break
        else:
            return bytes(body)
    raise Refused(f"The picture is larger than {max_bytes:,} bytes.")


class PublicNetwork(httpcore.NetworkBackend):
    """Connects to hosts of which every address is public. A name is resolved once, and what is judged is what is
    connected to: neither a redirect nor a name that changes its address leads into the inside network."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _addresses(host, port)
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise Refused(f"{host} is not on the public internet; THUMBNAIL_ALLOW_PRIVATE would allow it.")
        return self._network.connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to one machine on the internet, and is no way back inside (6to4, Teredo)."""
    if isinstance(address, IPv6Address) and (address not in GLOBAL_UNICAST or address.sixtofour or address.teredo):
        return False
    return address.is_global and not address.is_multicast


def _addresses(host: str, port: int) -> list[IPv4Address | IPv6Address]:
    """All addresses of a host, IPv4 first: where there is no IPv6 route, that saves the wait."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError) as error:
        raise Unavailable(f"{host} has no address") from error
    return sorted({ip_address(entry[4][0]) for entry in found}, key=lambda address: (address.version, address))
