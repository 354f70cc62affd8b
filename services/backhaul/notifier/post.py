"""The post: one request to one receiver, and what came back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property

import httpcore

from backhaul.core.clock import Clock
from backhaul.network import AddressRefused, GuardedNetwork, Resolve, UnknownHost

PATIENCE = timedelta(seconds=15)
"""For the whole exchange, from the lookup of the name to the status of the answer."""

_TO_CONNECT = timedelta(seconds=5)
_TO_READ_ON = timedelta(seconds=1)
_EXCERPT = 200
_KEPT_OPEN = 50
_KEPT_OPEN_FOR = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try. `status`: None if no answer came, and then `error` says why; of an answer that is no
    success `error` is how its body begins. `retry_after`: how long the receiver asked to be left alone."""

    status: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None


class Post:
    """Sends over a guarded network, without proxies. An answer is believed as it is: no redirect is followed."""

    def __init__(self, resolve: Resolve, clock: Clock, *, allow_private: bool, patience: timedelta = PATIENCE) -> None:
        self._clock = clock
        self._patience = patience.total_seconds()
        self._network = GuardedNetwork(
            resolve=resolve, allow_private=allow_private, setting="BACKHAUL_WEBHOOK_ALLOW_PRIVATE"
        )

    @cached_property
    def _pool(self) -> httpcore.AsyncConnectionPool:
        """Made for the first webhook: certificates and httpx take a while to load, and many platforms send none."""
        import httpx

        return httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,
            max_keepalive_connections=_KEPT_OPEN,
            keepalive_expiry=_KEPT_OPEN_FOR.total_seconds(),
            network_backend=self._network,
        )

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST the body, and return within `PATIENCE` whatever the receiver does. Raises nothing of the network."""
        timeout = {"connect": min(_TO_CONNECT.total_seconds(), self._patience)}
        try:
            async with (
                asyncio.timeout(self._patience),
                self._pool.stream(
                    "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": timeout}
                ) as response,
            ):
                return await self._answer(response)
        except TimeoutError:
            return Answer(error=f"no answer within {self._patience:g} s")
        except (AddressRefused, UnknownHost) as error:
            return Answer(error=str(error))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            return Answer(error=f"{type(error).__name__}: {error}".rstrip(": ")[:_EXCERPT])

    async def _answer(self, response: httpcore.Response) -> Answer:
        excerpt = await _excerpt(response)  # read in any case: what is read to its end can be used again
        if 200 <= response.status < 300:
            return Answer(response.status)
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(
            response.status,
            excerpt or None,
            retry_after(headers.get(b"retry-after"), self._clock.now()),
        )

    async def close(self) -> None:
        if "_pool" in self.__dict__:
            await self._pool.aclose()


async def _excerpt(response: httpcore.Response) -> str:
    """How the body begins. Never more of it is read, and it is not waited for."""
    read = b""
    try:
        async with asyncio.timeout(_TO_READ_ON.total_seconds()):
            async for part in response.aiter_stream():
                read += part
                if len(read) >= _EXCERPT:
                    break
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        pass
    text = read[:_EXCERPT].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in text).strip()


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """How long to wait (RFC 9110 §10.2.3): seconds or a date. None for anything else."""
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) < 10:
        return timedelta(seconds=int(value))
    try:
        return max(parsedate_to_datetime(value) - now, timedelta(0))
    except (TypeError, ValueError, OverflowError):
        return None
