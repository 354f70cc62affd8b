"""`GET /v1/events`: what happens to many tasks, from now on."""

from datetime import timedelta

from starlette.types import ASGIApp, Receive, Scope, Send

from backhaul.core.errors import Rejected
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.conditions import EVENT_STREAM, choose
from backhaul.gateway.http.queries import event_choice
from backhaul.gateway.http.request import Request, tenant_of
from backhaul.gateway.push.stream import EventStream
from backhaul_contracts.problems import ProblemCode

_PATIENCE = timedelta(seconds=5)


class WideEvents:
    """The endpoint of the stream of many tasks."""

    def __init__(self, gateway: Gateway) -> None:
        self._feed = gateway.feed
        self._limits = gateway.limits

    async def follow(self, request: Request) -> ASGIApp:
        if choose(request.header(b"accept"), (EVENT_STREAM,)) is None:
            raise Rejected(ProblemCode.NOT_ACCEPTABLE, f"The events of many tasks come as {EVENT_STREAM} only.")
        choice = event_choice(request, tenant_of(request))
        resumed = bool(request.header(b"last-event-id"))
        self._limits.check_stream(request.identity)
        await self._feed.heard(_PATIENCE)

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            with (
                self._limits.streaming(request.identity),
                self._feed.wide.watch(choice, resumed=resumed) as watcher,
                self._feed.attended(watcher),
            ):
                await EventStream(self._feed, watcher, watcher, request)(scope, receive, send)

        return respond
