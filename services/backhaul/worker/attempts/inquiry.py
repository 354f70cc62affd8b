"""An inquiry: a submission of a handler, and what has been heard of it so far."""

import asyncio
from collections.abc import Mapping
from typing import Any

from backhaul.core.ports.broker import Message


class Inquiry:
    """`news` is set with whatever is heard. `repeat`: it is to be published again, since an answer may be lost."""

    def __init__(self, message: Message, kind: str) -> None:
        self.message = message
        self.kind = kind
        self.news = asyncio.Event()
        self.repeat = False
        self.task: Mapping[str, Any] | None = None
        """The task as it was last heard of."""
        self._error: BaseException | None = None

    @property
    def id(self) -> str:
        """What its answers carry."""
        return str(self.message.correlation_id)

    @property
    def task_id(self) -> str:
        """Of the task as it was last heard of: one that was deleted is made anew."""
        return "" if self.task is None else str(self.task["id"])

    @property
    def done(self) -> bool:
        """Whether the task is."""
        return self.task is not None and bool(self.task.get("done"))

    def hear(self, task: Mapping[str, Any]) -> None:
        """How the task stands. What was done stays so."""
        if not self.done:
            self.task = task
            self.news.set()

    def fail(self, error: BaseException) -> None:
        """Nothing more is to be heard: whoever waits gets `error`."""
        self._error = error
        self.news.set()

    def close(self) -> None:
        """The attempt is over, or should be."""
        self.fail(asyncio.CancelledError("the attempt is over"))

    def ask_again(self) -> None:
        self.repeat = True
        self.news.set()

    async def wait(self) -> None:
        """Until there are news. Raises what it has failed with, unless the task is done."""
        if self._error is None:
            await self.news.wait()
        if self._error is not None and not self.done:
            raise self._error
