"""HTTP to one gateway: requests that are repeated where that is safe, and answers as values or errors."""

import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import httpx

from backhaul.client import answers
from backhaul.client.errors import ClientError, ConnectionFailed, Refused
from backhaul.client.patience import Patience
from backhaul.core.errors import ConfigurationError
from backhaul_contracts import codec

EVENT_STREAM = "text/event-stream"

_TIMEOUT = httpx.Timeout(30, connect=5, pool=None)

# A gateway sends a comment every 15 s: a stream that is silent for three of them is dead.
_STREAM_TIMEOUT = httpx.Timeout(30, connect=5, pool=None, read=45)

_JSON = {"Content-Type": "application/json"}

# The gateway has not done what it was asked for; behind 502 and 504 it may have.
_NOT_DONE = frozenset({429, 503})
_UNKNOWN = frozenset({502, 504})


class Connection:
    """A pool of connections, with the URL, the key and the patience that all requests share."""

    def __init__(
        self, url: str, api_key: str | None, patience: timedelta, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self.url = url.rstrip("/")
        self._patience = patience
        base = _base_url(self.url)
        self._http = httpx.AsyncClient(
            base_url=base,
            headers=_authorization(api_key),
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            transport=transport,
            trust_env=not _is_loopback(base.host),
        )

    async def close(self) -> None:
        await self._http.aclose()

    def patience(self) -> Patience:
        """A fresh count of failures."""
        return Patience(self._patience)

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        repeatable: bool = True,
    ) -> httpx.Response:
        """The answer, if it is a success.

        A request that is not `repeatable` is repeated only if it was certainly not carried out. Raises
        `ConnectionFailed`, `Refused` and `UnexpectedAnswer`.
        """
        content = None if body is None else codec.dumps(body)
        headers = {**_JSON, **(headers or {})} if content else headers
        request = self._http.build_request(method, path, params=params, headers=headers, content=content)
        patience = self.patience()
        while True:
            try:
                return await self._send(request)
            except (ConnectionFailed, Refused) as failure:
                if not may_repeat(failure, repeatable=repeatable):
                    raise
                await patience.pause(failure)

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """An open answer: the caller, who knows from where to go on, repeats it. Raises as `call` does."""
        headers = {"Accept": EVENT_STREAM, "Accept-Encoding": "identity", "Cache-Control": "no-store", **headers}
        try:
            async with self._http.stream(
                "GET", path, params=params, headers=headers, timeout=_STREAM_TIMEOUT
            ) as response:
                if not response.is_success:
                    await response.aread()
                    raise answers.error(response)
                yield response
        except httpx.RequestError as error:
            raise self._failed(error) from error

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._http.send(request)
        except httpx.RequestError as error:
            raise self._failed(error) from error
        if not response.is_success:
            raise answers.error(response)
        return response

    def _failed(self, error: httpx.RequestError) -> ConnectionFailed:
        never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        return ConnectionFailed(self.url, _reason(error), sent=not never_sent)


def may_repeat(failure: ClientError, *, repeatable: bool) -> bool:
    """Whether another try can help, and can do no harm."""
    match failure:
        case ConnectionFailed():
            return repeatable or not failure.sent
        case Refused():
            status = failure.problem.status
            return status in _NOT_DONE or (repeatable and status in _UNKNOWN)
    return False


def _authorization(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable()):
        raise ConfigurationError("the API key has characters that no key has: check BACKHAUL_API_KEY")
    return {"Authorization": f"Bearer {api_key}"}


def _base_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is not a URL ({error}): write it like http://127.0.0.1:8080") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or not 0 < (parsed.port or 80) < 65536:
        raise ConfigurationError(f"{url!r} is not the URL of a gateway: write it like http://127.0.0.1:8080")
    return parsed


def _is_loopback(host: str) -> bool:
    """Whether no proxy of the environment can be meant."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _reason(error: BaseException) -> str:
    """What the operating system said, which libraries wrap several times."""
    for cause in _causes(error):
        if isinstance(cause, TimeoutError | httpx.TimeoutException):
            return "no answer in time"
        if isinstance(cause, socket.gaierror):
            return (cause.strerror or "unknown host").lower()
        if isinstance(cause, ssl.SSLError):  # its errno is not one of the operating system
            return "TLS failed: " + (cause.reason or str(cause)).lower().replace("_", " ")
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from _causes(error.exceptions[0])
        error = error.__cause__ or error.__context__
