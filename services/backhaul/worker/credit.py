"""Credit: keeps the consumers of tokens in step with the free slots."""

import asyncio
from collections import deque
from collections.abc import Iterable

from backhaul.worker.slots import Slots
from backhaul.worker.token import TokenStream

_PACE_SECONDS = 0.02


class Credit:
    """Resizes consumers when settling tokens alone does not keep them in step; all that is due within 20 ms at once.

    Several queues share the slots of a worker. While there are free slots, tokens may come from each. When there are
    none, all are shut; the slots that become free then go to one queue at a time, in turn, and to all again when its
    tokens have left some free.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._streams: deque[TokenStream] = deque()
        self._asked = asyncio.Event()

    def watch(self, streams: Iterable[TokenStream]) -> None:
        self._streams.extend(streams)

    def check(self) -> None:
        """Look whether a consumer must be resized. Cheap: called for every slot that becomes free."""
        shared = len(self._streams) > 1 and not self._slots.free
        if any(stream.unbalanced or (shared and not stream.shut) for stream in self._streams):
            self._asked.set()

    async def run(self) -> None:
        """Resize until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            for stream in self._due():
                await stream.resize()
            await asyncio.sleep(_PACE_SECONDS)
            self.check()

    def _due(self) -> list[TokenStream]:
        streams = list(self._streams)
        if len(streams) == 1:
            return [stream for stream in streams if stream.unbalanced]
        if not self._slots.free:
            return [stream for stream in streams if not stream.shut or stream.unbalanced]
        if all(stream.shut for stream in streams):
            self._streams.rotate(-1)
            return streams[:1]
        return [stream for stream in streams if stream.unbalanced]
