"""A producer that publishes tasks straight to the broker, knowing the broker contract and nothing of Backhaul."""

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aio_pika
import httpx

from backhaul_contracts.tasks import TaskPage
from tests.faults.clients import some_task
from tests.faults.site import Site, now
from tests.proof.observations import Answer, Submitted

_SECONDS = 4
_NAME = "publisher"

logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class _Connection(aio_pika.Connection):
    def __del__(self) -> None:
        """aio-pika's makes a coroutine that nobody may await, also where a refused connection has nothing to close."""
        if self.transport is not None:
            super().__del__()


class Publisher:
    """It repeats a publish, under the same message id, until the broker confirms it; then it looks for the task."""

    def __init__(self, site: Site, amqp_url: str, http: httpx.AsyncClient, *, interval: float) -> None:
        self._site = site
        self._url = amqp_url
        self._http = http
        self._interval = interval
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._exchange: aio_pika.abc.AbstractExchange | None = None

    async def run(self) -> None:
        """Until `stop`, and until every published task was found."""
        number = 0
        async with asyncio.TaskGroup() as looking:
            while not self._site.stop.is_set():
                number += 1
                kind, given = some_task(self._site.chance)
                key = f"{_NAME}-{number}"
                await self._publish(kind, given, key)
                looking.create_task(self._find(kind, key))
                await self._site.idle(self._site.chance.expovariate(1 / self._interval))
        if self._connection is not None:
            await self._connection.close()

    async def _publish(self, kind: str, input: Mapping[str, Any], key: str) -> None:
        times = 2 if self._site.chance.random() < 0.1 else 1
        while times:
            if await self._confirmed(kind, input, key):
                self._note(Answer.ACCEPTED, kind, key)
                times -= 1
            else:
                self._note(Answer.UNKNOWN, kind, key)
                await self._site.pause()

    async def _confirmed(self, kind: str, input: Mapping[str, Any], key: str) -> bool:
        """In a task of its own: when a connection is lost, the library may also raise `CancelledError`."""
        publishing = asyncio.ensure_future(self._send(kind, input, key))
        await asyncio.wait({publishing}, timeout=_SECONDS)
        if publishing.done() and not publishing.cancelled() and publishing.exception() is None:
            return True
        publishing.cancel()
        await asyncio.wait({publishing})
        self._exchange = None
        return False

    async def _send(self, kind: str, input: Mapping[str, Any], key: str) -> None:
        if self._exchange is None:
            await self._connect()
        assert self._exchange is not None
        message = aio_pika.Message(
            json.dumps(input).encode(),
            content_type="application/json",
            message_id=key,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._exchange.publish(message, routing_key=kind, mandatory=True)

    async def _connect(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close()
        self._connection = await aio_pika.connect(self._url, timeout=_SECONDS, connection_class=_Connection)
        channel = await self._connection.channel(publisher_confirms=True)
        self._exchange = await channel.get_exchange("backhaul.submit", ensure=False)

    async def _find(self, kind: str, key: str) -> None:
        while True:
            await self._site.pause()
            with suppress(httpx.HTTPError):
                response = await self._http.get(f"{self._site.gateway()}/v1/tasks", params={"key": key}, timeout=3)
                if response.status_code == 200 and (found := TaskPage.model_validate_json(response.content).data):
                    self._note(Answer.ACCEPTED, kind, key, found[0].id)
                    return

    def _note(self, answer: Answer, kind: str, key: str, task_id: str | None = None) -> None:
        # Whether a publish made the task is not said: that of two of them is new is a matter of HTTP's answers.
        self._site.history.add(
            Submitted(client=_NAME, kind=kind, key=key, at=now(), answer=answer, task_id=task_id, replayed=True)
        )
