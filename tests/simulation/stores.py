"""The store as one process sees it: some way off, at times away, and every call a point at which one can die."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from backhaul.core.errors import StoreUnavailable
from backhaul.core.ports.store import Store
from backhaul.store import SqlStore
from tests.simulation.loop import Process
from tests.simulation.points import Points
from tests.simulation.weather import Weather

_PATIENCE = 6.0
"""How long a driver waits for a database that does not answer."""

_WRITES = frozenset(
    {"accept", "advance", "claim", "beat", "settle", "owed", "announce", "forget", "purge", "take_mail", "note_mail"}
)


class RemoteStore:
    """Every method of the port, by way of `_call`."""

    def __init__(self, store: SqlStore, process: Process, points: Points, weather: Weather, met: Counter[str]) -> None:
        self._store = store
        self._process = process
        self._points = points
        self._weather = weather
        self._met = met

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._call(name, lambda: method(*arguments, **options))

        self.__dict__[name] = call
        return call

    async def _call(self, name: str, act: Callable[[], Awaitable[Any]]) -> Any:
        weather = self._weather
        await weather.travel()
        await self._refuse(name)
        if name not in _WRITES:
            return await act()
        await self._points.come_to(self._process, f"store.{name} before")
        result = await act()
        await self._points.come_to(self._process, f"store.{name} after")
        await weather.travel()
        if weather.happens(weather.store_forgets):
            self._met["store answer lost"] += 1
            raise StoreUnavailable("the answer of the store was lost, its transaction was not")
        return result

    async def _refuse(self, name: str) -> None:
        weather = self._weather
        if weather.store_down:
            self._met["store down"] += 1
            if weather.draw.random() < 0.3:
                await self._hang()
            raise StoreUnavailable("the store is down")
        if weather.happens(weather.store_refuses):
            self._met["store call refused"] += 1
            raise StoreUnavailable(f"the store cannot be reached for {name}")

    async def _hang(self) -> None:
        """Nothing answers: neither the store nor its machine."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._weather.back.wait()


def remote_store(store: SqlStore, process: Process, points: Points, weather: Weather, met: Counter[str]) -> Store:
    return cast("Store", RemoteStore(store, process, points, weather, met))
