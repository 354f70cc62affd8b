"""The start of a role: what it stands on is waited for, and meanwhile `/readyz` names it.

What waiting cannot mend (a wrong password, an old schema, a topology that nobody has applied) ends the process instead,
with one sentence.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from backhaul.core.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable, TurnedAway
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.task.retry import backoff
from backhaul.settings import Settings

_log = logging.getLogger("backhaul")

_FIRST_WAIT = timedelta(milliseconds=200)
_LONGEST_WAIT = timedelta(seconds=2)
_SOON = 0.5
"""In seconds: who is ready by then was never worth a word."""


Lacking = Callable[[], Awaitable[Sequence[str]]]
"""What the role must do on the broker and its user may not, such as `write backhaul.events`."""


class StoppedEarly(Exception):
    """The process was asked to end before it had begun."""


class Startup:
    """One start of `role`. `address` is where readiness is told while it lasts, if anywhere. Every method raises
    `StoppedEarly` as soon as `stop` is set."""

    def __init__(self, role: str, stop: asyncio.Event, address: tuple[str, int] | None) -> None:
        self._role = role
        self._stop = stop
        self._address = address

    async def open_store(self, store: Store) -> None:
        """Raises `ConfigurationError` for what waiting cannot mend."""
        await self._until("store", store.start)

    async def open_broker(self, broker: Broker, settings: Settings, lacking: Lacking, *, required: bool) -> None:
        """`required` false: the role can begin without it. Raises `ConfigurationError` for what waiting cannot mend."""
        wanted = topology.platform(settings.ledger_shards)
        if required:
            await self._until("broker", lambda: _reach(broker, wanted, lacking), lambda: broker.blocked)
            return
        await self._unless_stopped(broker.start(required=False))
        if broker.connected:
            try:
                await self._unless_stopped(_fit(broker, wanted, lacking))
            except BrokerUnavailable as error:
                _log.warning("%s begins without the broker: %s", self._role, error)

    async def _until(
        self, part: str, attempt: Callable[[], Coroutine[Any, Any, None]], why: Callable[[], str | None] = lambda: None
    ) -> None:
        """`why` says in a few words what is wrong with `part`, if that is known and strangers may read it."""
        trying = asyncio.ensure_future(self._try(part, attempt))
        try:
            await asyncio.wait((trying,), timeout=_SOON)
            if not trying.done():
                async with self._telling(part, why):
                    await asyncio.wait((trying,))
            trying.result()
        finally:
            trying.cancel()

    async def _try(self, part: str, attempt: Callable[[], Coroutine[Any, Any, None]]) -> None:
        told: str | None = None
        for failures in count(1):
            try:
                await self._unless_stopped(attempt())
            except (StoreUnavailable, BrokerUnavailable) as error:
                if told is None:
                    # The connection to the broker has said itself what keeps it.
                    _log.warning("%s waits for the %s%s", self._role, part, f": {error}" if part == "store" else "")
                elif told != str(error):
                    _log.warning("%s still waits: %s", self._role, error)
                told = str(error)
            else:
                break
            pause = backoff(_FIRST_WAIT, _LONGEST_WAIT, failures, random.random)
            await self._unless_stopped(asyncio.sleep(pause.total_seconds()))
        if told is not None:
            _log.info("%s goes on: the %s is there", self._role, part)

    async def _unless_stopped(self, work: Coroutine[Any, Any, Any]) -> Any:
        working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise StoppedEarly
            return working.result()
        finally:
            stopped.cancel()
            working.cancel()
            await asyncio.wait((working,))

    @asynccontextmanager
    async def _telling(self, part: str, why: Callable[[], str | None]) -> AsyncIterator[None]:
        """Alive, and not ready for want of `part`."""
        if self._address is None:
            yield
            return
        from backhaul.wiring.http import HttpServer
        from backhaul.wiring.waiting import waiting_app

        server = HttpServer(waiting_app(self._role, part, why), *self._address, on_stop=lambda: None)
        async with server.running():
            yield


async def _reach(broker: Broker, wanted: topology.Topology, lacking: Lacking) -> None:
    """It may be away at first, and turn us away when it is there: both calls say so."""
    try:
        await broker.start(patient=True)
        await _fit(broker, wanted, lacking)
    except TurnedAway as error:
        raise ConfigurationError(str(error)) from error
    if not broker.connected:
        raise BrokerUnavailable(f"the broker takes no messages yet ({broker.blocked or 'it was not reached before'})")


async def _fit(broker: Broker, wanted: topology.Topology, lacking: Lacking) -> None:
    _refuse(await broker.check(wanted))
    if missing := await lacking():
        raise ConfigurationError(
            f"this user of RabbitMQ may not {', '.join(missing)}: `rabbitmqctl set_permissions`, with the patterns of "
            "docs/production.md"
        )


def _refuse(misfits: Sequence[topology.Misfit]) -> None:
    lasting = [misfit for misfit in misfits if not misfit.passing]
    for misfit in misfits:
        if misfit.passing:
            _log.warning("%s %s: %s", misfit.thing, misfit.fact, misfit.remedy)
    if lasting:
        first = lasting[0]
        others = f" (and {len(lasting) - 1} more)" if len(lasting) > 1 else ""
        raise ConfigurationError(
            f"the broker's topology does not fit: {first.thing} {first.fact}{others}: {first.remedy}"
        )
