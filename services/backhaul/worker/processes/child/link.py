"""The link of a child process to its worker: orders come in, words go out."""

import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from queue import SimpleQueue
from typing import Any, BinaryIO

from backhaul.worker.attempts.attempt import StopCause
from backhaul.worker.kit.origin import Origin
from backhaul.worker.processes import crossing, frames
from backhaul.worker.processes.child.fate import end_with_all
from backhaul.worker.processes.frames import Frame, Head
from backhaul_contracts import codec
from backhaul_contracts.claims import Grant


class RemoteAttempt:
    """An attempt as its child process knows it: what a `Context` looks at."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.traceparent = grant.traceparent
        self.cause: StopCause | None = None
        self.noticed = False
        self.waited = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """An attempt to run. `limit` bounds each of its payloads, in bytes."""

    attempt: RemoteAttempt
    origin: Origin
    limit: int
    now: datetime
    """When it began, by the worker's clock."""


class Link:
    """One thread reads, so that a request to stop is heard while the handler is at work; any thread may write."""

    def __init__(self, connection: socket.socket, file: BinaryIO) -> None:
        connection.set_inheritable(False)
        self._connection = connection
        self._file = file
        self._writing = threading.Lock()
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._attempt: RemoteAttempt | None = None
        self._calls = count(1)
        self._waiting: dict[int, SimpleQueue[Frame]] = {}

    def listen(self) -> None:
        """From now on the worker is heard; when it is gone, this process ends."""
        threading.Thread(target=self._read, name="backhaul-link", daemon=True).start()

    def next_order(self) -> Order | None:
        """Wait for something to do; None: there is nothing more."""
        return self._orders.get()

    def tell(self, head: Head, body: bytes = b"") -> None:
        """Say something that needs no answer. When there is nobody to hear it, this process ends."""
        data = Frame(head, body).pack()
        try:
            with self._writing:
                self._connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            end_with_all()

    def end(self, order: Order, head: Mapping[str, Any], body: bytes) -> None:
        """Say how an attempt has ended."""
        self.tell({"say": "end", "noticed": order.attempt.noticed, **head}, body)

    def ask(self, name: str, arguments: bytes) -> Any:
        """What the method `name` of the context answers in the worker. Raises what it raises there."""
        number = next(self._calls)
        answer = self._waiting[number] = SimpleQueue()
        try:
            self.tell({"say": "call", "call": number, "name": name}, arguments)
            frame = answer.get()
        finally:
            del self._waiting[number]
        if (error := frame.head.get("error")) is not None:
            raise crossing.revive(error)
        return codec.loads(frame.body)

    def cut(self) -> None:
        """Let go of the socket in a process that was forked from this one, whose other threads are not there."""
        self._writing = threading.Lock()
        os.close(self._connection.detach())

    def _read(self) -> None:
        try:
            while (frame := frames.read(self._file)) is not None:
                self._hear(frame)
        finally:
            end_with_all()

    def _hear(self, frame: Frame) -> None:
        match frame.head["do"]:
            case "run":
                self._orders.put(self._order(frame))
            case "stop":
                if self._attempt is not None:
                    self._attempt.cause = StopCause(frame.head["cause"])
            case "answer":
                if (waiting := self._waiting.get(frame.head["call"])) is not None:
                    waiting.put(frame)
            case "leave":
                self._orders.put(None)

    def _order(self, frame: Frame) -> Order:
        self._attempt = RemoteAttempt(Grant.model_validate_json(frame.body))
        head = frame.head
        now = datetime.fromisoformat(head["now"])
        return Order(self._attempt, Origin.model_validate(head["origin"]), head["limit"], now)
