"""Credit: keeps the consumers of tokens in step with the free slots."""

import asyncio
from collections import deque
from collections.abc import Iterable

from backhaul.core.ports.broker import Broker
from backhaul.worker.claiming.slots import Slots
from backhaul.worker.claiming.token import TokenStream

_PACE_SECONDS = 0.005


class Credit:
    """Resizes consumers when settling tokens alone does not keep them in step; all that is due within 5 ms at once.

    Queues that share the slots of a worker each get credit for all free slots, as long as at most one has tokens
    waiting: then no token waits for the credit of another queue. When all slots are taken, a queue that is empty keeps
    a credit of one: its next token finds no slot, goes back, and tells that there are two with tokens now. Such queues
    take turns: only one has credit, until all slots are taken or 5 ms are over.
    """

    def __init__(self, broker: Broker, slots: Slots) -> None:
        self._broker = broker
        self._slots = slots
        self._streams: deque[TokenStream] = deque()
        self._asked = asyncio.Event()

    def watch(self, streams: Iterable[TokenStream]) -> None:
        self._streams.extend(streams)

    def check(self) -> None:
        """Look whether a consumer must be resized. Cheap: called for every slot that becomes free."""
        for stream in self._streams:
            if stream.unbalanced:
                self._asked.set()
                return

    async def run(self) -> None:
        """Resize until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            contending = await self._contending()
            if len(contending) > 1:
                await self._take_turns(contending)
            else:
                await self._share(contending)
            await asyncio.sleep(_PACE_SECONDS)
            self.check()

    async def _contending(self) -> list[TokenStream]:
        if len(self._streams) == 1:
            return []
        return [stream for stream in list(self._streams) if not stream.resting and await stream.contends(self._broker)]

    async def _share(self, contending: list[TokenStream]) -> None:
        """At most one queue has tokens: each may use all slots that are free. The others keep a credit of one, to tell
        of their next token; one that has tokens would only take the same one again and again."""
        others = [] if len(self._streams) == 1 else [each for each in self._streams if each not in contending]
        for stream in list(self._streams):
            tells = stream in others
            if stream.unbalanced or (stream.shut and tells and not stream.resting):
                await stream.resize(least=1 if tells else 0)

    async def _take_turns(self, contending: list[TokenStream]) -> None:
        """Credit for one queue alone, or for none when no slot is free."""
        turn = contending[0] if self._slots.free else None
        for stream in list(self._streams):
            if stream is not turn and (stream.owes or not stream.shut):
                await stream.resize(most=0)
        if turn is not None:
            self._streams.remove(turn)
            self._streams.append(turn)
            await turn.resize()
