"""Clients: they submit, watch, cancel and retry, over any gateway that answers, and write down what they see."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from backhaul_contracts.tasks import Status
from tests.proof.observations import (
    Answer,
    Commanded,
    End,
    Submitted,
    TaskSeen,
)
from tests.simulation.http import Http, Lost, Reply
from tests.simulation.receivers import Receivers
from tests.simulation.roles import GatewayRole
from tests.simulation.watching import LogWatch, SocketWatch, StreamWatch, Watch
from tests.simulation.witness import Witness, digest


@dataclass(slots=True)
class Wish:
    """A task that somebody wants, and what else is to become of it."""

    kind: str
    body: dict[str, Any]
    key: str | None = None
    at: float = 0.0
    twice: bool = False
    """Submit it a second time under the same key, at the same moment, on another gateway."""
    other_input: bool = False
    """Submit something else under the same key: it must be refused."""
    watch: bool = True
    watch_from_start: bool = True
    leave_after: float | None = None
    """Break the watch off after this time, and go on with it a little later."""
    cancel_after: float | None = None
    retry: bool = False
    """Run it again if it ended without success."""
    look: bool = False
    """Read it now and then."""
    wait: bool = False
    """Submit with `Prefer: wait`."""
    webhook: tuple[str, ...] = ()
    """The events that a webhook of the task's own is to be told of."""


@dataclass(slots=True)
class Client:
    """One client. `settled` is set by the simulation when all is well again: then no request may be lost any more."""

    name: str
    http: Http
    gateways: Sequence[GatewayRole]
    witness: Witness
    receivers: Receivers
    draw: random.Random
    task_ids: dict[str, None] = field(default_factory=dict)
    _watches: "count[int]" = field(default_factory=lambda: count(1))

    async def grant(self, wish: Wish) -> None:
        """Do all that belongs to a wish."""
        await asyncio.sleep(wish.at)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(self._submit(wish, wish.body))
            if wish.twice:
                group.create_task(self._submit(wish, wish.body))
            if wish.other_input:
                group.create_task(self._submit(wish, {**wish.body, "input": {"attempts": [[["return"]]], "other": 1}}))
        task_id = first.result()
        if task_id is None:
            return
        async with asyncio.TaskGroup() as group:
            if wish.watch:
                group.create_task(self._watch(task_id, wish))
            if wish.cancel_after is not None:
                group.create_task(self._cancel(task_id, wish.cancel_after))
            if wish.look:
                group.create_task(self._look(task_id))
            if wish.retry:
                group.create_task(self._retry(task_id, wish))

    async def _submit(self, wish: Wish, body: dict[str, Any]) -> str | None:
        """The id of the task; None if it was refused, or nobody knows."""
        for attempt in range(60):
            headers = {b"prefer": b"wait=1"} if wish.wait else {}
            asked = {"kind": wish.kind, **body, **({"key": wish.key} if wish.key else {})}
            if wish.webhook:
                asked["webhook"] = self.receivers.webhook(self.name, wish.webhook)
            reply = await self._call("POST", "/v1/tasks", asked, headers=headers)
            self._note_submit(wish, reply)
            if reply is not None and reply.status in {200, 202}:
                task_id: str = reply.json()["id"]
                self.task_ids[task_id] = None
                if wish.webhook:
                    self.receivers.subscribed(self.name, wish.webhook, task_id=task_id)
                return task_id
            if reply is not None and reply.status != 503:
                return None
            if wish.key is None and (reply is None or reply.status != 503):
                return None
            if wish.key is None:
                return None
            await asyncio.sleep(0.3 + 0.1 * min(attempt, 10))
        return None

    def _note_submit(self, wish: Wish, reply: Reply | None) -> None:
        seen: dict[str, Any] = {"answer": Answer.UNKNOWN}
        if reply is not None and reply.status in {200, 202}:
            task = reply.json()
            seen = {
                "answer": Answer.ACCEPTED,
                "task_id": task["id"],
                "status": Status(task["status"]),
                "seq": task["seq"],
                "replayed": b"idempotency-replayed" in reply.headers,
            }
        elif reply is not None and reply.status < 500:
            seen = {"answer": Answer.REFUSED, "code": reply.json()["code"]}
        self.witness.see(Submitted(client=self.name, kind=wish.kind, at=self.witness.now(), key=wish.key, **seen))

    async def _cancel(self, task_id: str, after: float) -> None:
        await asyncio.sleep(after)
        await self._command("cancel", task_id, {"grace": 0.4} if self.draw.random() < 0.5 else {"reason": "enough"})

    async def _retry(self, task_id: str, wish: Wish) -> None:
        for _ in range(60):
            await asyncio.sleep(1)
            task = await self._read(task_id)
            if task is None or not task["done"]:
                continue
            if task["status"] == "succeeded":
                return
            if await self._command("retry", task_id, {}) is Answer.ACCEPTED and wish.watch:
                await self._watch(task_id, wish, after=task["seq"])
            return

    async def _look(self, task_id: str) -> None:
        for _ in range(6):
            await asyncio.sleep(0.2 + self.draw.random())
            task = await self._read(task_id)
            if task is not None and task["done"]:
                return

    async def _read(self, task_id: str) -> Any:
        reply = await self._call("GET", f"/v1/tasks/{task_id}")
        if reply is None or reply.status != 200:
            if reply is not None and reply.status == 404:
                self.witness.broken.append(f"{task_id}: it was accepted, and a gateway says 404")
            return None
        task = reply.json()
        self.witness.see(
            TaskSeen(
                client=self.name,
                task_id=task_id,
                at=self.witness.now(),
                status=Status(task["status"]),
                seq=task["seq"],
                attempt=task["attempt"],
                result_hash=digest(task["result"]) if task["status"] == "succeeded" else None,
            )
        )
        return task

    async def _command(self, command: str, task_id: str, body: Any) -> Answer:
        reply = await self._call("POST", f"/v1/tasks/{task_id}/{command}", body)
        answer, seen = Answer.UNKNOWN, {}
        if reply is not None and reply.status in {200, 202}:
            task = reply.json()
            answer, seen = Answer.ACCEPTED, {"status": Status(task["status"]), "seq": task["seq"]}
        elif reply is not None and reply.status < 500:
            answer, seen = Answer.REFUSED, {"code": reply.json()["code"]}
        self.witness.see(
            Commanded(client=self.name, command=command, task_id=task_id, at=self.witness.now(), answer=answer, **seen)
        )
        return answer

    async def _call(
        self, method: str, target: str, body: Any = None, *, headers: dict[bytes, bytes] | None = None
    ) -> Reply | None:
        try:
            return await self.http.call(self._gateway(), method, target, body, headers=headers)
        except Lost:
            return None

    def _gateway(self) -> GatewayRole:
        """Any that is up, as a load balancer would choose; else any."""
        up = [gateway for gateway in self.gateways if gateway.up and not gateway.leaving]
        return self.draw.choice(up or list(self.gateways))

    def _watch_by(self, view: str, task_id: str, cursor: int | None) -> Watch:
        """A watch by any transport, over any gateway."""
        kind = self.draw.choices((StreamWatch, SocketWatch, LogWatch), (6, 3, 2 if cursor is not None else 0))[0]
        name = f"{view}/{next(self._watches)}"
        return kind(name, view, self.name, task_id, cursor, self._gateway(), self.http, self.witness)

    async def _watch(self, task_id: str, wish: Wish, after: int | None = None) -> None:
        """Follow a task until it ends, over as many connections as that takes."""
        cursor = after if after is not None else (0 if wish.watch_from_start else None)
        view = f"{self.name}/{task_id}/{'again' if after is not None else 'first'}"
        patience = wish.leave_after
        while True:
            watch = self._watch_by(view, task_id, cursor)
            end = await watch.follow(patience)
            cursor, patience = watch.cursor, None
            if watch.terminal or end is End.EMPTY:
                return
            await asyncio.sleep(0.2 + 0.2 * self.draw.random())
