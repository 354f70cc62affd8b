"""A task in the hands of a client: its record as last seen, and what can be done with it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from backhaul.client import answers, log
from backhaul.client.connection import Connection
from backhaul.client.errors import not_succeeded
from backhaul.client.output import Output
from backhaul.client.stream import EventStream
from backhaul.client.submission import Length, plain
from backhaul_contracts.events import SNAPSHOT, TERMINAL_EVENTS, Event
from backhaul_contracts.ids import new_id
from backhaul_contracts.tasks import Status, Task
from backhaul_contracts.wire import parse_duration


class AsyncTask:
    """One task. Every call may raise `ConnectionFailed` and `Refused`."""

    def __init__(self, connection: Connection, state: Task) -> None:
        self._connection = connection
        self._path = f"/v1/tasks/{state.id}"
        self.state = state
        """The record as this handle has last seen it; `refresh` and `wait` see it anew."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.kind} {self.state.status}>"

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def kind(self) -> str:
        return self.state.kind

    async def refresh(self) -> Task:
        """The record as it is now. Raises `NotFound` once it is no longer kept."""
        return await self._update("GET", self._path)

    def events(self, *, after: int | None = 0) -> AsyncGenerator[Event]:
        """The events behind the seq `after`, then new ones as they happen, until the task is done.

        None begins with a `task.snapshot` of now. Connections are renewed by themselves; no event is lost or repeated.
        A `task.retrying` takes back the output of its attempt behind `keep_through`: an `Output` keeps account of that.
        """
        return EventStream(self._connection, self.id, after).events()

    async def wait(self, timeout: Length | None = None) -> Task:  # noqa: ASYNC109
        """The record of the task once it is done, however it ended. Raises `TimeoutError`; then the task goes on."""
        async with _deadline(
            timeout, f"task {self.id} was not done within {timeout}: it goes on, wait again or cancel it"
        ):
            while not self.state.done:
                await self._follow()
        return self.state

    async def result(self, timeout: Length | None = None) -> Any:  # noqa: ASYNC109
        """The result, as JSON, once there is one.

        Raises `TaskFailed`, `TaskCancelled`, `TaskExpired`, and `TimeoutError` (then the task goes on).
        """
        task = await self.wait(timeout)
        if task.status is not Status.SUCCEEDED:
            raise not_succeeded(task)
        return task.result

    async def output(self) -> Output:
        """What the task has put out so far, without what retried attempts wrote in vain."""
        output = Output()
        async with aclosing(log.so_far(self._connection, self.id)) as events:
            async for event in events:
                output.take(event)
        return output

    async def cancel(self, reason: str | None = None, *, grace: Length | None = None) -> Task:
        """Ask for the end of the task. The answer is final if it is `done`: `wait` tells how the others end."""
        body = {"reason": reason, "grace": plain(grace)}
        return await self._update("POST", f"{self._path}/cancel", body={k: v for k, v in body.items() if v is not None})

    async def retry(self) -> Task:
        """Run a failed, cancelled or expired task once more. Raises `Conflict` for any other."""
        return await self._update("POST", f"{self._path}/retry", repeatable=False)

    async def replay(self, *, input: Any = ...) -> "AsyncTask":
        """A new task like this one, with another input if one is given. A random key makes it safe to repeat."""
        headers = {"Idempotency-Key": new_id("req")}
        body = {} if input is ... else {"input": input}
        response = await self._connection.call("POST", f"{self._path}/replay", headers=headers, body=body)
        return AsyncTask(self._connection, answers.value(Task, response))

    async def delete(self) -> None:
        """Forget a task that is done. Raises `Conflict` for any other."""
        await self._connection.call("DELETE", self._path, repeatable=False)

    async def _update(self, method: str, path: str, **request: Any) -> Task:
        response = await self._connection.call(method, path, **request)
        self.state = answers.value(Task, response)
        return self.state

    async def _follow(self) -> None:
        async with aclosing(self.events(after=None)) as events:
            async for event in events:
                if event.type == SNAPSHOT:
                    self.state = Task.model_validate(event.data)
                elif event.type in TERMINAL_EVENTS:
                    await self.refresh()
                if self.state.done:
                    return
        await self.refresh()


@asynccontextmanager
async def _deadline(length: Length | None, message: str) -> AsyncIterator[None]:
    if length is None:
        yield
        return
    try:
        async with asyncio.timeout(parse_duration(length).total_seconds()) as scope:
            yield
    except TimeoutError as error:
        raise TimeoutError(message) if scope.expired() else error from error
