"""An event loop on a thread of its own, for callers that block."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for any number of threads. It starts with the first one, so a client may be made before a fork.

    A caller that is interrupted (Ctrl-C) cancels what it waited for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = asyncio.Event()
        self._closed = False

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns or raises. Raises `RuntimeError` after `close`."""
        try:
            loop = self._started()
        except RuntimeError:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        """The items, each fetched when it is asked for. The generator is closed when the caller stops asking, or by
        `close`."""
        turn = asyncio.Lock()  # an interrupted step is still on its way out when the generator is to be closed

        async def step() -> tuple[T] | None:
            async with turn:
                async for item in items:
                    return (item,)
                return None

        async def end() -> None:
            async with turn:
                await items.aclose()

        try:
            while found := self.run(step()):
                yield found[0]
        finally:
            if not self._closed:
                self.run(end())

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Cancel what still runs, and end the thread."""
        with self._lock:
            self._closed = True
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed: make a new one")
            if self._loop is None:
                ready: Future[asyncio.AbstractEventLoop] = Future()
                self._thread = threading.Thread(target=self._main, args=(ready,), name="backhaul-client", daemon=True)
                self._thread.start()
                self._loop = ready.result()
            return self._loop

    def _main(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        asyncio.run(self._until_closed(ready))

    async def _until_closed(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        ready.set_result(asyncio.get_running_loop())
        await self._closing.wait()
