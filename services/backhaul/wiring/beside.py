"""Running something beside a block of code."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def beside(run: Coroutine[Any, Any, None], *, end: Callable[[], None]) -> AsyncIterator[None]:
    """Run `run` for as long as the block lasts; on leaving it, call `end`, which makes `run` return, and wait for it.

    If `run` fails, the block is cancelled and that failure raised. An error of the block itself comes out as it is,
    not wrapped in a group: blocks are other people's code.
    """
    block = asyncio.current_task()
    running = asyncio.create_task(run)

    def interrupt(done: asyncio.Task[None]) -> None:
        if block is not None and not done.cancelled() and done.exception() is not None:
            block.cancel()

    running.add_done_callback(interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if block is None or not running.done() or running.cancelled() or running.exception() is None:
            raise
        block.uncancel()
    finally:
        running.remove_done_callback(interrupt)
        end()
        await _joined(running)


async def _joined(running: "asyncio.Task[None]") -> None:
    """Wait for it, whatever happens: it ends in its own good order, also when we are cancelled meanwhile."""
    cancelled = None
    while not running.done():
        try:
            await asyncio.shield(asyncio.wait({running}))
        except asyncio.CancelledError as error:
            cancelled = error
    running.result()
    if cancelled is not None:
        raise cancelled
