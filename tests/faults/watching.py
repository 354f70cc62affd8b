"""Clients that watch a task: over SSE, with a new connection to another gateway after every break, and by long-poll."""

from contextlib import suppress
from itertools import count

import httpx

from backhaul.client.sse import EventParser, Message
from backhaul_contracts.events import GAP, SNAPSHOT, TERMINAL_EVENTS, Event
from backhaul_contracts.tasks import Status, Task
from tests.faults.site import UNKNOWN, Site, digest, now
from tests.proof.observations import End, EventSeen, TaskSeen, WatchEnded, WatchOpened

_STREAM = httpx.Timeout(3, read=17)
"""A stream gives a sign of life every 15 s."""
_WAIT_SECONDS = 5
_POLL = httpx.Timeout(3, read=_WAIT_SECONDS + 3)


class View:
    """One client's view of one task, over as many streams as it takes. `after` None: it begins with a snapshot."""

    def __init__(
        self, site: Site, http: httpx.AsyncClient, client: str, task_id: str, *, after: int | None = 0
    ) -> None:
        self._site = site
        self._http = http
        self._client = client
        self._task_id = task_id
        self._cursor = after
        self._numbers = count(1)
        self._over = False

    async def to_the_end(self) -> None:
        """Return when a stream has shown the end of the task, and was closed."""
        self._over = False
        while not self._over:
            gateway = self._site.gateway()
            with suppress(httpx.HTTPError):
                await self._connect(gateway)
            if not self._over:
                await self._site.pause()

    async def _connect(self, gateway: str) -> None:
        headers = {} if self._cursor is None else {"Last-Event-ID": str(self._cursor)}
        path = f"{gateway}/v1/tasks/{self._task_id}/events"
        async with self._http.stream("GET", path, headers=headers, timeout=_STREAM) as response:
            self._site.heard(gateway)
            if response.status_code == 204:
                self._end(self._open(gateway), End.EMPTY)
                self._over = True
            elif response.status_code == 200:
                await self._read(response, self._open(gateway))
            elif response.status_code not in UNKNOWN:
                self._site.strange.append(f"GET {path}: {response.status_code}")

    async def _read(self, response: httpx.Response, watch: str) -> None:
        parser = EventParser()
        ended = False
        try:
            async for chunk in response.aiter_bytes():
                for message in parser.feed(chunk):
                    ended = self._see(watch, message)
        except httpx.HTTPError:
            self._end(watch, End.BROKEN)
            raise
        self._end(watch, End.CLOSED)
        self._over = ended

    def _see(self, watch: str, message: Message) -> bool:
        """Note it. Whether the task has ended, as far as this shows."""
        event = Event.model_validate_json(message.data)
        task = Task.model_validate(event.data) if event.type in {SNAPSHOT, GAP} else None
        self._cursor = event.seq
        self._site.history.add(
            EventSeen(
                watch=watch,
                task_id=event.task_id,
                seq=event.seq,
                type=event.type,
                at=now(),
                attempt=None if task else event.attempt,
                status=task.status if task else None,
                digest=None if task else digest(event.data),
                result_hash=_result(task) if task else _told_result(event),
            )
        )
        return task.done if task else event.type in TERMINAL_EVENTS

    def _open(self, gateway: str) -> str:
        view = f"{self._client}/{self._task_id}"
        watch = f"{view}/{next(self._numbers)}"
        opened = WatchOpened(
            watch=watch,
            view=view,
            client=self._client,
            task_id=self._task_id,
            transport="sse",
            gateway=gateway,
            at=now(),
            after=self._cursor,
        )
        self._site.history.add(opened)
        return watch

    def _end(self, watch: str, end: End) -> None:
        self._site.history.add(WatchEnded(watch=watch, end=end, at=now()))


async def poll(site: Site, http: httpx.AsyncClient, client: str, task_id: str) -> None:
    """Read the task again at each change, until it is done."""
    etag: str | None = None
    while True:
        gateway = site.gateway()
        headers = {"Prefer": f"wait={_WAIT_SECONDS}"} | ({"If-None-Match": etag} if etag else {})
        try:
            response = await http.get(f"{gateway}/v1/tasks/{task_id}", headers=headers, timeout=_POLL)
        except httpx.HTTPError:
            await site.pause()
            continue
        site.heard(gateway)
        if response.status_code == 200:
            etag = response.headers["ETag"]
            if note_task(site, client, Task.model_validate_json(response.content)).done:
                return
        elif response.status_code in UNKNOWN:
            await site.pause()
        elif response.status_code != 304:
            site.strange.append(f"GET {task_id}: {response.status_code}")
            await site.pause()


def note_task(site: Site, client: str, task: Task) -> Task:
    """The client has seen the task."""
    site.history.add(
        TaskSeen(
            client=client,
            task_id=task.id,
            at=now(),
            status=task.status,
            seq=task.seq,
            attempt=task.attempt,
            result_hash=_result(task),
        )
    )
    return task


def _result(task: Task) -> str | None:
    return digest(task.result) if task.status is Status.SUCCEEDED else None


def _told_result(event: Event) -> str | None:
    return digest(event.data["result"]) if "result" in event.data else None
