"""Lists of the gateway, page by page."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import httpx

from backhaul.client.connection import Connection

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_LARGEST = 100


class Page(Protocol[T_co]):
    """A page as every list of the gateway answers with it."""

    @property
    def data(self) -> Sequence[T_co]: ...

    @property
    def next_cursor(self) -> str | None: ...


async def items(
    connection: Connection,
    path: str,
    read: Callable[[httpx.Response], Page[T]],
    params: Mapping[str, Any],
    limit: int | None,
) -> AsyncGenerator[T]:
    """What the list at `path` has, at most `limit`; pages are fetched as they are needed."""
    asked, remaining = dict(params), limit
    while remaining is None or remaining > 0:
        asked["limit"] = min(_LARGEST, remaining or _LARGEST)
        page = read(await connection.call("GET", path, params=asked))
        for item in page.data:
            yield item
        if page.next_cursor is None:
            return
        asked["cursor"] = page.next_cursor
        remaining = None if remaining is None else remaining - len(page.data)
