"""Clients over HTTP: they submit with keys and repeat what was not answered, watch, cancel, and run again."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from backhaul_contracts.events import TERMINAL_EVENTS
from backhaul_contracts.tasks import Status, Task
from tests.faults.hooks import Hooks
from tests.faults.site import UNKNOWN, Site, now
from tests.faults.watching import View, note_task, poll
from tests.proof.observations import Answer, Commanded, Submitted

_TIMEOUT = httpx.Timeout(3)
_CANCELLABLE = frozenset({"heavy.walk", "heavy.thread", "heavy.process"})
_HOOKED = 0.15
"""How many tasks have a webhook of their own."""
_SOME_EVENTS = ("task.started", *sorted(TERMINAL_EVENTS))
_AGAIN = frozenset({Status.FAILED, Status.CANCELLED})


class Client:
    """One client. It submits at its own pace, and follows each of its tasks to the end."""

    def __init__(self, site: Site, name: str, http: httpx.AsyncClient, hooks: Hooks, *, interval: float) -> None:
        self._site = site
        self._name = name
        self._http = http
        self._hooks = hooks
        self._interval = interval
        self._chance = site.chance

    async def run(self) -> None:
        """Until `stop`, and until all tasks submitted by then have ended."""
        number = 0
        async with asyncio.TaskGroup() as following:
            while not self._site.stop.is_set():
                number += 1
                kind, given = some_task(self._chance)
                task = await self._submit(kind, given, f"{self._name}-{number}")
                if task is not None:
                    following.create_task(self._follow(task))
                await self._site.idle(self._chance.expovariate(1 / self._interval))

    async def _submit(self, kind: str, input: Mapping[str, Any], key: str) -> Task | None:
        """The accepted task, by as many requests as it takes."""
        body = {"kind": kind, "input": input, "key": key}
        events = _SOME_EVENTS if self._chance.random() < _HOOKED else ()
        if events:
            body["webhook"] = self._hooks.webhook(key, events)
        while True:
            response = await self._call("/v1/tasks", body)
            answer = _answer(response)
            seen = Submitted(client=self._name, kind=kind, key=key, at=now(), answer=answer)
            if response is not None and answer is Answer.ACCEPTED:
                task = self._accepted(seen, response)
                if events:
                    self._hooks.subscribed(key, events, task_id=task.id)
                return task
            if response is not None and answer is Answer.REFUSED:
                self._site.strange.append(f"POST {kind}: {response.status_code} {response.text[:300]}")
                self._site.history.add(replace(seen, code=_code(response)))
                return None
            self._site.history.add(seen)
            await self._site.pause()

    def _accepted(self, seen: Submitted, response: httpx.Response) -> Task:
        task = Task.model_validate_json(response.content)
        replayed = "Idempotency-Replayed" in response.headers
        self._site.history.add(replace(seen, task_id=task.id, status=task.status, seq=task.seq, replayed=replayed))
        return task

    async def _follow(self, task: Task) -> None:
        async with asyncio.TaskGroup() as group:
            if task.kind in _CANCELLABLE and self._chance.random() < 0.12:
                group.create_task(self._cancel(task.id))
            group.create_task(self._watch(task.id))

    async def _watch(self, task_id: str) -> None:
        way = self._chance.random()
        if way < 0.25:
            await poll(self._site, self._http, self._name, task_id)
            return
        view = View(self._site, self._http, self._name, task_id, after=None if way < 0.35 else 0)
        await view.to_the_end()
        task = await self._read(task_id)
        if task.status in _AGAIN and self._chance.random() < 0.4 and await self._command(task_id, "retry"):
            await view.to_the_end()

    async def _cancel(self, task_id: str) -> None:
        await self._site.idle(self._chance.uniform(0, 3))
        await self._command(task_id, "cancel")

    async def _command(self, task_id: str, command: str) -> bool:
        """Whether it was accepted; it is repeated until an answer comes."""
        while True:
            response = await self._call(f"/v1/tasks/{task_id}/{command}", {})
            answer = _answer(response)
            seen = Commanded(client=self._name, command=command, task_id=task_id, at=now(), answer=answer)
            if response is not None and answer is Answer.ACCEPTED:
                task = Task.model_validate_json(response.content)
                self._site.history.add(replace(seen, status=task.status, seq=task.seq))
                return True
            if response is not None and answer is Answer.REFUSED:
                self._site.history.add(replace(seen, code=_code(response)))
                return False
            self._site.history.add(seen)
            await self._site.pause()

    async def _read(self, task_id: str) -> Task:
        while True:
            gateway = self._site.gateway()
            try:
                response = await self._http.get(f"{gateway}/v1/tasks/{task_id}", timeout=_TIMEOUT)
            except httpx.HTTPError:
                await self._site.pause()
                continue
            if response.status_code == 200:
                return note_task(self._site, self._name, Task.model_validate_json(response.content))
            if response.status_code not in UNKNOWN:
                self._site.strange.append(f"GET {task_id}: {response.status_code}")
            await self._site.pause()

    async def _call(self, path: str, body: Mapping[str, Any]) -> httpx.Response | None:
        gateway = self._site.gateway()
        try:
            response = await self._http.post(gateway + path, json=body, timeout=_TIMEOUT)
        except httpx.HTTPError:
            return None
        self._site.heard(gateway)
        return response


_MIX = {
    "quick.echo": 54,
    "quick.trouble": 7,
    "quick.family": 4,
    "heavy.walk": 11,
    "heavy.nap": 12,
    "heavy.thread": 4,
    "heavy.process": 3,
    "heavy.exclusive": 5,
}
"""Of a hundred tasks: many short ones, some that take seconds, some that fail."""


def some_task(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """A kind and an input."""
    (kind,) = chance.choices(list(_MIX), list(_MIX.values()))
    return kind, _input(kind, chance)


def _input(kind: str, chance: random.Random) -> dict[str, Any]:
    match kind:
        case "quick.echo":
            return {"seconds": round(chance.uniform(0, 0.05), 3)}
        case "quick.trouble":
            return {"failures": chance.randint(0, 3), "final": chance.random() < 0.4}
        case "heavy.walk":
            steps = chance.randint(30, 60) if chance.random() < 0.3 else chance.randint(2, 12)
            return {"steps": steps, "seconds": round(chance.uniform(0.1, 0.3), 2)}
        case "heavy.nap":
            return {"seconds": round(chance.uniform(4, 12), 1)}
        case _:
            return {"steps": chance.randint(1, 6), "seconds": 0.2}


def _answer(response: httpx.Response | None) -> Answer:
    if response is None or response.status_code in UNKNOWN:
        return Answer.UNKNOWN
    return Answer.ACCEPTED if response.status_code in {200, 202} else Answer.REFUSED


def _code(response: httpx.Response) -> str:
    return str(response.json().get("code"))
