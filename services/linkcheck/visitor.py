"""Visits links: politely, with patience, and without reading what they lead to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import perf_counter
from weakref import WeakValueDictionary

import httpcore
import httpx

from backhaul.network import AddressRefused, UnknownHost
from linkcheck.finding import Fault, Finding, Redirect, Trouble
from linkcheck.settings import Settings
from linkcheck.transport import GuardedTransport

MAX_REDIRECTS = 5
HEAD_REFUSED = (405, 501)

Disconnected = (httpcore.NetworkError, httpcore.RemoteProtocolError)
Failed = (
    *Disconnected,
    AddressRefused,
    UnknownHost,
    TimeoutError,
    UnicodeError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    httpx.InvalidURL,
)


@dataclass(slots=True)
class Visit:
    """One link on its way."""

    url: str
    patience: timedelta
    places: asyncio.Semaphore
    redirects: list[Redirect] = field(default_factory=list)
    elapsed: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self.elapsed += perf_counter() - started

    def ends(self, status: int | None, trouble: Trouble | None = None) -> Finding:
        return Finding(
            url=self.url,
            ok=status is not None and status < 400,
            status=status,
            final_url=self.redirects[-1].url if self.redirects else self.url,
            redirects=self.redirects,
            elapsed=round(self.elapsed, 4),
            error=trouble,
        )


class Visitor:
    """Shared by all tasks of a worker, so that its limit for a host holds over all of them."""

    def __init__(self, client: httpx.AsyncClient, per_host: int) -> None:
        self._client = client
        self._per_host = per_host
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def visit(self, url: str, patience: timedelta, places: asyncio.Semaphore) -> Finding:
        """Where the link leads. Never fails: what goes wrong is part of the finding.

        Every request waits for its turn at the host, then for one of `places`, which all visits of a task
        share; from then on it has `patience` until it is answered. A lost connection is tried once more.
        """
        visit = Visit(url, patience, places)
        try:
            try:
                answer = await self._arrive(visit)
            except Disconnected:
                answer = await self._arrive(visit)
        except Failed as failure:
            return visit.ends(None, trouble(failure))
        return visit.ends(answer.status_code)

    async def _arrive(self, visit: Visit) -> httpx.Response:
        answer = await self._follow("HEAD", visit)
        return await self._follow("GET", visit) if answer.status_code in HEAD_REFUSED else answer

    async def _follow(self, method: str, visit: Visit) -> httpx.Response:
        # httpx can follow redirects by itself, but then reads their bodies, however long.
        visit.redirects.clear()
        answer = await self._ask(self._client.build_request(method, visit.url), visit)
        while answer.next_request:
            if len(visit.redirects) == MAX_REDIRECTS:
                raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects")
            visit.redirects.append(Redirect(status=answer.status_code, url=str(answer.next_request.url)))
            answer = await self._ask(answer.next_request, visit)
        return answer

    async def _ask(self, request: httpx.Request, visit: Visit) -> httpx.Response:
        patience = visit.patience.total_seconds()
        async with self._turn(request.url.host), visit.places, asyncio.timeout(patience):
            with visit.timed():
                answer = await self._client.send(request, stream=True)
                await answer.aclose()
                return answer

    def _turn(self, host: str) -> asyncio.Semaphore:
        return self._hosts.setdefault(host, asyncio.Semaphore(self._per_host))


def trouble(failure: Exception) -> Trouble:
    """What went wrong, in the words of the result."""
    match failure:
        case AddressRefused():
            code, detail = Fault.REFUSED_ADDRESS, str(failure)
        case TimeoutError() | httpcore.TimeoutException():
            code, detail = Fault.TIMED_OUT, "no answer in time"
        case UnknownHost():
            code, detail = Fault.UNKNOWN_HOST, str(failure)
        case httpcore.ConnectError(args=[ssl.SSLError()]):
            code, detail = Fault.TLS_FAILED, str(failure)
        case httpcore.ConnectError():
            code, detail = Fault.NO_CONNECTION, "the host takes no connection"
        case httpx.TooManyRedirects():
            code, detail = Fault.TOO_MANY_REDIRECTS, str(failure)
        case httpx.InvalidURL() | UnicodeError() | httpcore.UnsupportedProtocol() | httpcore.LocalProtocolError():
            code, detail = Fault.BAD_URL, str(failure)
        case _:
            code, detail = Fault.BAD_ANSWER, str(failure) or "the connection was lost"
    return Trouble(code=code, detail=detail)


@asynccontextmanager
async def open_visitor(settings: Settings) -> AsyncIterator[Visitor]:
    """A visitor with its connections; without cookies, and without proxies of the environment."""
    client = httpx.AsyncClient(
        transport=GuardedTransport(allow_private=settings.allow_private),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"user-agent": "backhaul-linkcheck/1.0"},
        timeout=None,  # noqa: S113  # patience is counted from a request's turn, by the visitor
        trust_env=False,
    )
    async with client:
        yield Visitor(client, settings.per_host)
