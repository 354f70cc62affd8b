"""One connection that has become a WebSocket."""

import asyncio
import logging
from datetime import timedelta

from uvicorn._types import ASGIReceiveEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

PING_EVERY = timedelta(seconds=15)
PONG_WITHIN = timedelta(seconds=60)

_log = logging.getLogger("backhaul.websocket")
_log.setLevel(logging.WARNING)


class WebSocketConnection(WebSocketsSansIOProtocol):
    """What uvicorn makes of it, save that who does not read is not read from either (every ping is answered, so those
    answers would pile up), and that nothing is logged of a connection that is as it should be."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = self.conn.logger = _log

    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:  # it could not be read
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
