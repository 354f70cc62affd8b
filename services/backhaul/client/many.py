"""The events of many tasks, from now on, over as many connections as it takes."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from backhaul.client import answers
from backhaul.client.connection import EVENT_STREAM, Connection, may_repeat
from backhaul.client.errors import ConnectionFailed, Refused, UnexpectedAnswer
from backhaul.client.sse import EventParser, Message
from backhaul_contracts.events import Event

_PATH = "/v1/events"


class ManyTasks:
    """Follows all tasks that fit `params`. What happens between two connections is not told: each but the first begins
    with a `stream.gap`, which is passed on like those of the gateway."""

    def __init__(self, connection: Connection, params: Mapping[str, Any]) -> None:
        self._connection = connection
        self._params = params
        self._patience = connection.patience()
        self._retry = timedelta(0)
        self._last_id: str | None = None

    async def events(self) -> AsyncGenerator[Event]:
        """Never ends by itself. Raises `Refused`, and `ConnectionFailed` when the patience is over."""
        while True:
            try:
                async with aclosing(self._connected()) as events:
                    async for event in events:
                        yield event
            except (ConnectionFailed, Refused) as failure:
                if not may_repeat(failure, repeatable=True):
                    raise
                await self._patience.pause(failure, self._retry)

    async def _connected(self) -> AsyncGenerator[Event]:
        headers = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        async with self._connection.stream(_PATH, headers=headers, params=self._params) as response:
            if not response.headers.get("Content-Type", "").startswith(EVENT_STREAM):
                raise answers.unexpected(response, "no event stream")
            self._last_id = self._last_id or "none yet"
            parser = EventParser()
            async for chunk in response.aiter_bytes():
                self._patience.heard()
                for message in parser.feed(chunk):
                    self._last_id = message.id or self._last_id
                    self._patience.reset()
                    yield _read(message)
                self._retry = parser.retry or self._retry
        raise ConnectionFailed(self._connection.url, "the stream broke off", sent=True)


def _read(message: Message) -> Event:
    try:
        return Event.model_validate_json(message.data)
    except ValidationError as error:
        raise UnexpectedAnswer(f"GET {_PATH}", f"a {message.type} that is no event") from error
