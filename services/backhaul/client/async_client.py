"""The client: submits tasks, finds them, and reads what the gateway lists."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack
from urllib.parse import quote

import httpx

from backhaul.client import answers, queries, submission
from backhaul.client.async_task import AsyncTask
from backhaul.client.connection import Connection
from backhaul.client.many import ManyTasks
from backhaul.client.pages import items
from backhaul.client.queries import Choices, Filters
from backhaul.client.submission import Length, SubmitOptions
from backhaul.client.webhooks import AsyncWebhooks
from backhaul_contracts.deadletters import DeadLetter, DeadLetterPage
from backhaul_contracts.events import Event
from backhaul_contracts.ids import new_id
from backhaul_contracts.listings import KindInfo, KindPage, QueueInfo, QueuePage, WorkerInfo, WorkerPage
from backhaul_contracts.tasks import Task, TaskPage
from backhaul_contracts.wire import parse_duration


class AsyncClient:
    """Speaks to one gateway; many tasks of one event loop may use it at the same time.

    Without `url`, `BACKHAUL_URL` says where the gateway is; without `api_key`, `BACKHAUL_API_KEY` is shown if it is set
    (`""` shows none). `patience` is how long failures that may pass (no connection, 429, 502, 503, 504) are borne until
    one is raised; 0 tries everything once. `transport` takes the place of the network, in tests.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        patience: Length = "30s",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if url is None or api_key is None:
            url, api_key = _configured(url, api_key)
        self._connection = Connection(url, api_key, parse_duration(patience), transport)
        self.webhooks = AsyncWebhooks(self._connection)
        """Where the events of all tasks are sent."""

    @property
    def url(self) -> str:
        return self._connection.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Tasks go on."""
        await self._connection.close()

    async def submit(
        self, kind: str, input: Any = None, *, key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> AsyncTask:
        """A handle on the accepted, durable task. Raises `InvalidRequest`, and `NotFound` for an unknown kind.

        `input` is anything JSON can say, pydantic models and dataclasses included. The same `key` with the same kind
        and input always gives the same task; without a key a random one makes the request safe to repeat.
        """
        headers = {"Idempotency-Key": new_id("req")} if key is None else None
        body = submission.body(kind, input, key, options)
        response = await self._connection.call("POST", "/v1/tasks", headers=headers, body=body)
        return AsyncTask(self._connection, answers.value(Task, response))

    async def get(self, task_id: str) -> AsyncTask:
        """A handle on a task. Raises `NotFound`."""
        response = await self._connection.call("GET", f"/v1/tasks/{quote(task_id, safe='')}")
        return AsyncTask(self._connection, answers.value(Task, response))

    async def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> AsyncGenerator[AsyncTask]:
        """Handles on the tasks that fit, newest first, at most `limit`; pages are fetched as they are needed."""
        read = partial(answers.value, TaskPage)
        async for task in items(self._connection, "/v1/tasks", read, queries.params(filters), limit):
            yield AsyncTask(self._connection, task)

    def events(self, **choices: Unpack[Choices]) -> AsyncGenerator[Event]:
        """What happens from now on to all tasks that fit, for as long as one listens.

        Connections are renewed by themselves; what is missed meanwhile, or because one listens too slowly, shows as a
        `stream.gap`, whose `data` says the `reason`. The events of one task, without gaps: `AsyncTask.events`.
        """
        return ManyTasks(self._connection, queries.params(choices)).events()

    async def kinds(self) -> Sequence[KindInfo]:
        """What can be submitted."""
        return answers.value(KindPage, await self._connection.call("GET", "/v1/kinds")).data

    async def workers(self) -> Sequence[WorkerInfo]:
        """Who does the work."""
        return answers.value(WorkerPage, await self._connection.call("GET", "/v1/workers")).data

    async def drain_worker(self, worker_id: str) -> WorkerInfo:
        """Have a worker finish or hand back what it has, take nothing more, and leave. Raises `NotFound`."""
        answer = await self._connection.call("POST", f"/v1/workers/{quote(worker_id, safe='')}/drain")
        return answers.value(WorkerInfo, answer)

    async def queues(self) -> Sequence[QueueInfo]:
        """Where tasks wait, and how fast that goes."""
        return answers.value(QueuePage, await self._connection.call("GET", "/v1/queues")).data

    async def pause_queue(self, name: str) -> QueueInfo:
        """Start nothing more from a queue; what runs goes on, and submits are accepted. Raises `NotFound`."""
        return answers.value(QueueInfo, await self._connection.call("POST", f"{_queue(name)}/pause"))

    async def resume_queue(self, name: str) -> QueueInfo:
        """Start tasks from a queue again. Raises `NotFound`."""
        return answers.value(QueueInfo, await self._connection.call("POST", f"{_queue(name)}/resume"))

    def dead_letters(
        self, *, limit: int | None = None, queue: str | None = None, reason: str | None = None
    ) -> AsyncGenerator[DeadLetter]:
        """What could not be handled, newest first, at most `limit`; long bodies are cut (`body_truncated`).

        `queue` and `reason` leave out all others. Raises `Overloaded` while the broker is down.
        """
        params = {name: value for name, value in (("queue", queue), ("reason", reason)) if value is not None}
        return items(self._connection, "/v1/dead-letters", partial(answers.value, DeadLetterPage), params, limit)

    async def dead_letter(self, letter_id: str) -> DeadLetter:
        """A dead letter with its whole body. Raises `NotFound`."""
        return answers.value(DeadLetter, await self._connection.call("GET", _letter(letter_id)))

    async def replay_dead_letter(self, letter_id: str) -> DeadLetter:
        """Send a message again where it was sent first. Raises `NotFound`, and `Conflict` if no queue takes it now."""
        response = await self._connection.call("POST", f"{_letter(letter_id)}/replay", repeatable=False)
        return answers.value(DeadLetter, response)

    async def delete_dead_letter(self, letter_id: str) -> None:
        """Forget a message that could not be handled. Raises `NotFound`."""
        await self._connection.call("DELETE", _letter(letter_id), repeatable=False)


def _queue(name: str) -> str:
    return f"/v1/queues/{quote(name, safe='')}"


def _letter(letter_id: str) -> str:
    return f"/v1/dead-letters/{quote(letter_id, safe='')}"


def _configured(url: str | None, api_key: str | None) -> tuple[str, str | None]:
    from backhaul.settings import Settings

    settings = Settings()
    if api_key is None and settings.api_key is not None:
        api_key = settings.api_key.get_secret_value()
    return settings.url if url is None else url, api_key
