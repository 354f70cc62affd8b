"""The client for programs without an event loop: `AsyncClient`, driven on a thread of its own.

So there is one implementation, time-outs are exact, it also works where a loop already runs (notebooks), and threads
may share it.
"""

from collections.abc import Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from backhaul.client.async_client import AsyncClient
from backhaul.client.async_task import AsyncTask
from backhaul.client.blocking_webhooks import BlockingWebhooks
from backhaul.client.loop_thread import LoopThread
from backhaul.client.output import Output
from backhaul.client.queries import Choices, Filters
from backhaul.client.submission import Length, SubmitOptions
from backhaul_contracts.deadletters import DeadLetter
from backhaul_contracts.events import Event
from backhaul_contracts.listings import KindInfo, QueueInfo, WorkerInfo
from backhaul_contracts.tasks import Task


class BlockingTask:
    """One task, as `AsyncTask`; every call blocks."""

    def __init__(self, handle: AsyncTask, thread: LoopThread) -> None:
        self._handle = handle
        self._thread = thread

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.kind} {self.state.status}>"

    @property
    def id(self) -> str:
        return self._handle.id

    @property
    def kind(self) -> str:
        return self._handle.kind

    @property
    def state(self) -> Task:
        """The record as this handle has last seen it; `refresh` and `wait` see it anew."""
        return self._handle.state

    def refresh(self) -> Task:
        """The record as it is now. Raises `NotFound` once it is no longer kept."""
        return self._thread.run(self._handle.refresh())

    def events(self, *, after: int | None = 0) -> Generator[Event]:
        """The events behind the seq `after`, then new ones as they happen, until the task is done.

        None begins with a `task.snapshot` of now. Connections are renewed by themselves; no event is lost or repeated.
        A `task.retrying` takes back the output of its attempt behind `keep_through`: an `Output` keeps account of that.
        """
        return self._thread.iterate(self._handle.events(after=after))

    def wait(self, timeout: Length | None = None) -> Task:
        """The record of the task once it is done, however it ended. Raises `TimeoutError`; then the task goes on."""
        return self._thread.run(self._handle.wait(timeout))

    def result(self, timeout: Length | None = None) -> Any:
        """The result, as JSON, once there is one.

        Raises `TaskFailed`, `TaskCancelled`, `TaskExpired`, and `TimeoutError` (then the task goes on).
        """
        return self._thread.run(self._handle.result(timeout))

    def output(self) -> Output:
        """What the task has put out so far, without what retried attempts wrote in vain."""
        return self._thread.run(self._handle.output())

    def cancel(self, reason: str | None = None, *, grace: Length | None = None) -> Task:
        """Ask for the end of the task. The answer is final if it is `done`: `wait` tells how the others end."""
        return self._thread.run(self._handle.cancel(reason, grace=grace))

    def retry(self) -> Task:
        """Run a failed, cancelled or expired task once more. Raises `Conflict` for any other."""
        return self._thread.run(self._handle.retry())

    def replay(self, *, input: Any = ...) -> "BlockingTask":
        """A new task like this one, with another input if one is given."""
        return BlockingTask(self._thread.run(self._handle.replay(input=input)), self._thread)

    def delete(self) -> None:
        """Forget a task that is done. Raises `Conflict` for any other."""
        self._thread.run(self._handle.delete())


class Client:
    """Speaks to one gateway, as `AsyncClient`; every call blocks, and Ctrl-C interrupts it. Threads may share it."""

    def __init__(self, url: str | None = None, api_key: str | None = None, *, patience: Length = "30s") -> None:
        self._client = AsyncClient(url, api_key, patience=patience)
        self._thread = LoopThread()
        self.webhooks = BlockingWebhooks(self._client.webhooks, self._thread)
        """Where the events of all tasks are sent."""

    @property
    def url(self) -> str:
        return self._client.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Tasks go on."""
        if self._thread.closed:
            return
        self._thread.run(self._client.close())
        self._thread.close()

    def submit(
        self, kind: str, input: Any = None, *, key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> BlockingTask:
        """A handle on the accepted, durable task. Raises `InvalidRequest`, and `NotFound` for an unknown kind.

        `input` is anything JSON can say, pydantic models and dataclasses included. The same `key` with the same kind
        and input always gives the same task; without a key a random one makes the request safe to repeat.
        """
        return self._bound(self._thread.run(self._client.submit(kind, input, key=key, **options)))

    def get(self, task_id: str) -> BlockingTask:
        """A handle on a task. Raises `NotFound`."""
        return self._bound(self._thread.run(self._client.get(task_id)))

    def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[BlockingTask]:
        """Handles on the tasks that fit, newest first, at most `limit`; pages are fetched as they are needed."""
        return map(self._bound, self._thread.iterate(self._client.list(limit=limit, **filters)))

    def events(self, **choices: Unpack[Choices]) -> Generator[Event]:
        """What happens from now on to all tasks that fit, for as long as one listens.

        Connections are renewed by themselves; what is missed meanwhile, or because one listens too slowly, shows as a
        `stream.gap`, whose `data` says the `reason`. The events of one task, without gaps: `BlockingTask.events`.
        """
        return self._thread.iterate(self._client.events(**choices))

    def kinds(self) -> Sequence[KindInfo]:
        """What can be submitted."""
        return self._thread.run(self._client.kinds())

    def workers(self) -> Sequence[WorkerInfo]:
        """Who does the work."""
        return self._thread.run(self._client.workers())

    def drain_worker(self, worker_id: str) -> WorkerInfo:
        """Have a worker finish or hand back what it has, take nothing more, and leave. Raises `NotFound`."""
        return self._thread.run(self._client.drain_worker(worker_id))

    def queues(self) -> Sequence[QueueInfo]:
        """Where tasks wait, and how fast that goes."""
        return self._thread.run(self._client.queues())

    def pause_queue(self, name: str) -> QueueInfo:
        """Start nothing more from a queue; what runs goes on, and submits are accepted. Raises `NotFound`."""
        return self._thread.run(self._client.pause_queue(name))

    def resume_queue(self, name: str) -> QueueInfo:
        """Start tasks from a queue again. Raises `NotFound`."""
        return self._thread.run(self._client.resume_queue(name))

    def dead_letters(
        self, *, limit: int | None = None, queue: str | None = None, reason: str | None = None
    ) -> Generator[DeadLetter]:
        """What could not be handled, newest first, at most `limit`; long bodies are cut (`body_truncated`).

        `queue` and `reason` leave out all others. Raises `Overloaded` while the broker is down.
        """
        return self._thread.iterate(self._client.dead_letters(limit=limit, queue=queue, reason=reason))

    def dead_letter(self, letter_id: str) -> DeadLetter:
        """A dead letter with its whole body. Raises `NotFound`."""
        return self._thread.run(self._client.dead_letter(letter_id))

    def replay_dead_letter(self, letter_id: str) -> DeadLetter:
        """Send a message again where it was sent first. Raises `NotFound`, and `Conflict` if no queue takes it now."""
        return self._thread.run(self._client.replay_dead_letter(letter_id))

    def delete_dead_letter(self, letter_id: str) -> None:
        """Forget a message that could not be handled. Raises `NotFound`."""
        self._thread.run(self._client.delete_dead_letter(letter_id))

    def _bound(self, handle: AsyncTask) -> BlockingTask:
        return BlockingTask(handle, self._thread)
