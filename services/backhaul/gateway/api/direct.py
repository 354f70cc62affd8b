"""The short way to our own routes, past the layers that only FastAPI's own kind of endpoint needs."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from backhaul.gateway.api.routes import Route


class DirectApp(FastAPI):
    """FastAPI, save that lean routes are reached right behind the middlewares that were added.

    Whatever they do not answer (another path, another method, a route of FastAPI's own kind) goes on as ever. A wish
    for a WebSocket goes to `sockets`, at any path.
    """

    sockets: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette has it: FastAPI would look for its telemetry first, which is off here, at each request."""
        await Starlette.__call__(self, scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        added, self.user_middleware = self.user_middleware, []
        lean = [route for route in self.routes if isinstance(route, Route)]
        app: ASGIApp = _Direct(lean, self.sockets, super().build_middleware_stack())
        self.user_middleware = added
        for middleware in reversed(added):
            app = middleware.cls(app, *middleware.args, **middleware.kwargs)
        return app


class _Direct:
    def __init__(self, routes: Sequence[Route], sockets: ASGIApp, otherwise: ASGIApp) -> None:
        self._routes = routes
        self._sockets = sockets
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
            return
        route = self._route(scope) if scope["type"] == "http" else None
        await (self._otherwise if route is None else route.handle)(scope, receive, send)

    def _route(self, scope: Scope) -> Route | None:
        path, method = scope["path"], scope["method"]
        for route in self._routes:
            if method in route.answers and (match := route.path_regex.match(path)):
                scope["path_params"] = match.groupdict()
                return route
        return None
