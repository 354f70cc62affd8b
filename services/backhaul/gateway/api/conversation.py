"""One WebSocket: what a client says is answered in order, and what it follows is told in turn."""

import asyncio
from collections import deque
from datetime import timedelta

from starlette.types import Message, Receive, Send

from backhaul.core.apikeys import Scope
from backhaul.core.errors import BrokerUnavailable, Rejected, StoreUnavailable
from backhaul.core.rendering import json_text
from backhaul.core.schema.catalogue import decode
from backhaul.core.task.acceptance import Origin
from backhaul.core.task.record import Record
from backhaul.core.tracing import Side
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.trail import note
from backhaul.gateway.api.events import check_cursor
from backhaul.gateway.api.steering import Steering
from backhaul.gateway.api.submissions import Submissions
from backhaul.gateway.api.subscription import Subscription
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.problems import known_fault
from backhaul.gateway.http.request import parsed
from backhaul.gateway.patience import answered
from backhaul.gateway.push.reading import Reading
from backhaul_contracts import codec
from backhaul_contracts.conversation import AskCancel, Marked, Ping, Ref, Subscribe, Unsubscribe
from backhaul_contracts.ids import TaskId
from backhaul_contracts.problems import Fault, ProblemCode
from backhaul_contracts.wire import Json

MOST_SUBSCRIPTIONS = 1_000
COME_BACK = 1012
POLICY = 1008
_COME_BACK: Message = {"type": "websocket.close", "code": COME_BACK, "reason": "reconnect"}
_REVOKED: Message = {"type": "websocket.close", "code": POLICY, "reason": "the key is revoked"}
_STALLED = timedelta(seconds=60)
_SCOPES = {"subscribe": Scope.READ, "submit": Scope.SUBMIT, "cancel": Scope.CANCEL}
_OPS = ("subscribe", "unsubscribe", "submit", "cancel", "ping")


class Conversation:
    """Answers one message at a time, and reads the next when it has. Beside that, subscriptions with news take turns:
    a page each, read when the client is ready for it, so however slow it is, one page is all that is held for it.

    A client that takes nothing for a minute is let go. The end of the conversation does nothing to any task.
    """

    def __init__(
        self,
        gateway: Gateway,
        submissions: Submissions,
        steering: Steering,
        identity: Identity,
        receive: Receive,
        send: Send,
    ) -> None:
        self._gateway = gateway
        self._feed = gateway.feed
        self._submissions = submissions
        self._steering = steering
        self._identity = identity
        self._receive = receive
        self._send = send
        self._subscriptions: dict[str, Subscription] = {}
        self._ready: deque[Subscription] = deque()
        self._woken = asyncio.Event()
        self._left = False

    async def run(self) -> None:
        """Until the client leaves, or the gateway closes: then the close code tells it to come back."""
        try:
            with self._feed.attended(self):
                async with asyncio.TaskGroup() as group:
                    listener = group.create_task(self._listen())
                    await self._tell()
                    listener.cancel()
        finally:
            for subscription in self._subscriptions.values():
                self._feed.release(subscription)

    def wake(self) -> None:
        self._woken.set()

    async def _listen(self) -> None:
        while not self._left:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._leave()
            else:
                await self._answer(message)

    async def _tell(self) -> None:
        while not (self._left or self._feed.closing or self._identity.revoked):
            if self._ready:
                await self._give_turn(self._ready.popleft())
            else:
                await self._woken.wait()
                self._woken.clear()
        if not self._left:
            await self._deliver(_REVOKED if self._identity.revoked else _COME_BACK)

    async def _give_turn(self, subscription: Subscription) -> None:
        subscription.begin_turn()
        if self._over(subscription):
            return
        frames = await subscription.reading.more()
        for frame in frames:
            if self._over(subscription):
                return
            await self._say(frame.body.decode())
        if subscription.reading.ended and not self._over(subscription):
            await self._end(subscription)
        elif frames:
            subscription.wake()

    def _over(self, subscription: Subscription) -> bool:
        return self._left or subscription.left

    async def _end(self, subscription: Subscription) -> None:
        topic = subscription.topic
        self._drop(topic.task_id)
        if topic.vanished:
            await self._say(_refused(self._gateway.lookup.missing(topic.task_id), subscription.ref))

    async def _answer(self, message: Message) -> None:
        ref: Ref | None = None
        try:
            said = _object(message)
            ref = parsed(Marked, {"ref": said["ref"]}).ref if "ref" in said else None
            await self._obey(said, ref)
        except (Rejected, StoreUnavailable, BrokerUnavailable) as error:
            await self._say(_refused(error, ref))

    async def _obey(self, said: dict[str, Json], ref: Ref | None) -> None:
        fields = {name: value for name, value in said.items() if name != "op"}
        op = said.get("op")
        if isinstance(op, str) and (scope := _SCOPES.get(op)) is not None:
            self._gateway.limits.spend(self._identity)
            self._identity.need(scope)
        match op:
            case "subscribe":
                await self._subscribe(parsed(Subscribe, fields))
            case "unsubscribe":
                self._drop(parsed(Unsubscribe, fields).task_id)
                await self._acknowledge(ref)
            case "submit":
                await self._submit(fields, ref)
            case "cancel":
                await self._cancel(parsed(AskCancel, fields))
            case "ping":
                parsed(Ping, fields)
                await self._say(f'{{"op":"pong","ref":{_ref(ref)}}}')
            case _:
                raise _unknown_op(said)

    async def _subscribe(self, wanted: Subscribe) -> None:
        if wanted.task_id not in self._subscriptions and len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise Rejected(
                ProblemCode.RATE_LIMITED,
                f"There are {MOST_SUBSCRIPTIONS} subscriptions on this connection: end some, or open another one.",
            )
        topic = self._feed.topic(TaskId(wanted.task_id))
        subscription = self._feed.admit(Subscription(topic, wanted.ref, self._has_news))
        try:
            record = await self._opened(subscription, wanted)
        except BaseException:
            self._feed.release(subscription)
            raise
        self._drop(wanted.task_id)
        if record.status.done and wanted.after == record.seq:
            subscription.left = True
            self._feed.release(subscription)
        else:
            self._subscriptions[wanted.task_id] = subscription
        done = "true" if record.status.done else "false"
        await self._acknowledge(wanted.ref, f',"task_id":"{record.id}","seq":{record.seq},"done":{done}')
        if not subscription.left:
            self._has_news(subscription)

    async def _opened(self, subscription: Subscription, wanted: Subscribe) -> Record:
        gateway = self._gateway
        snapshot = await gateway.lookup.task(self._identity.tenant, wanted.task_id)
        check_cursor(wanted.after, snapshot.record.seq)
        parts = (gateway.feed, gateway.store, gateway.clock)
        subscription.reading = Reading(*parts, subscription, snapshot, wanted.after, gateway.links, self._identity)
        return snapshot.record

    async def _submit(self, fields: dict[str, Json], ref: Ref | None) -> None:
        body = {name: value for name, value in fields.items() if name != "ref"}
        with self._gateway.tracer.span("submit on a WebSocket", Side.SERVER, None) as span:
            origin = Origin(tenant=self._identity.tenant, traceparent=span.traceparent)
            admission = await answered(self._submissions.admit(body, origin))
        note("submit", self._identity, admission.snapshot.record.id)
        await self._acknowledge(ref, f',"task":{self._gateway.shown(admission.snapshot, self._identity)}')

    async def _cancel(self, wanted: AskCancel) -> None:
        snapshot = await self._steering.cancelled(self._identity.tenant, wanted.task_id, wanted)
        note("cancel", self._identity, snapshot.record.id)
        await self._acknowledge(wanted.ref, f',"task":{self._gateway.shown(snapshot, self._identity)}')

    def _has_news(self, subscription: Subscription) -> None:
        self._ready.append(subscription)
        self._woken.set()

    def _drop(self, task_id: str) -> None:
        subscription = self._subscriptions.pop(task_id, None)
        if subscription is not None:
            subscription.left = True
            self._feed.release(subscription)

    def _leave(self) -> None:
        self._left = True
        self._woken.set()

    async def _acknowledge(self, ref: Ref | None, members: str = "") -> None:
        await self._say(f'{{"op":"ack","ref":{_ref(ref)}{members}}}')

    async def _say(self, text: str) -> None:
        await self._deliver({"type": "websocket.send", "text": text})

    async def _deliver(self, message: Message) -> None:
        """`send` waits while too much is under way to the client."""
        try:
            async with asyncio.timeout(_STALLED.total_seconds()):
                await self._send(message)
        except (TimeoutError, OSError):
            self._leave()


def _object(message: Message) -> dict[str, Json]:
    text = message.get("text")
    if text is None:
        raise Rejected(ProblemCode.UNSUPPORTED_MEDIA_TYPE, "A binary message was sent: send JSON as text.")
    said = decode(text.encode())
    if not isinstance(said, dict):
        detail = "A message must be a JSON object."
        raise Rejected(ProblemCode.INVALID_INPUT, detail, errors=[Fault(pointer="", detail=detail)])
    return said


def _unknown_op(said: dict[str, Json]) -> Rejected:
    detail = f"op is one of {', '.join(_OPS)}."
    return Rejected(ProblemCode.INVALID_INPUT, detail, errors=[Fault(pointer="/op", detail=detail)])


def _refused(error: Rejected | StoreUnavailable | BrokerUnavailable, ref: Ref | None) -> str:
    return f'{{"op":"error","ref":{_ref(ref)},"error":{known_fault(error).body.decode()}}}'


def _ref(ref: Ref | None) -> str:
    return json_text(ref) if ref is None or isinstance(ref, str) else codec.dumps(ref).decode()
