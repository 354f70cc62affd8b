"""Where a picture comes from: the task itself, or an address on the public internet."""

import binascii
from collections.abc import Callable, Iterable
from contextlib import closing
from urllib.parse import urljoin

import httpcore

from backhaul.network import AddressRefused, GuardedSyncNetwork, UnknownHost

Told = Callable[[int, int | None], None]
"""Hears how many bytes have come, and of how many."""

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
    network = GuardedSyncNetwork(allow_private=allow_private, setting="THUMBNAIL_ALLOW_PRIVATE")
    with closing(httpcore.ConnectionPool(network_backend=network)) as pool:
        try:
            for _ in range(MAX_REDIRECTS + 1):
                found = _get(pool, url, max_bytes, tell)
                if isinstance(found, bytes):
                    return found
                url = found
        except AddressRefused as error:
            raise Refused(f"{error}.") from error
        except UnknownHost as error:
            raise Unavailable(str(error)) from error
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
