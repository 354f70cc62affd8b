"""Receivers of webhooks: what a notifier sends reaches them, or not; they check what they get, and write it down."""

import asyncio
import hmac
import random
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from hashlib import blake2b, sha256
from typing import Any

from backhaul.notifier.post import Answer
from backhaul_contracts import codec
from backhaul_contracts.webhooks import SECRET_PREFIX
from tests.proof.observations import Subscribed, WebhookCame
from tests.simulation.loop import PROCESS
from tests.simulation.points import Points
from tests.simulation.weather import Weather
from tests.simulation.witness import Witness

RECEIVERS: ContextVar["Receivers"] = ContextVar("RECEIVERS")
"""Where the webhooks of this world go."""

_PLACE = "https://hooks.example/"
_SILENCE = 3.0
_FRESH = timedelta(minutes=1)
_REFUSAL = Answer(500, "not now")
_BUSY = Answer(503, "later", timedelta(seconds=2))
_MUTE = Answer(error="no answer")


class Receivers:
    """All receivers, each known by its name, which ends its URL. `friendly`: they take whatever comes."""

    def __init__(self, points: Points, weather: Weather, witness: Witness, draw: random.Random) -> None:
        self.friendly = False
        self._points = points
        self._weather = weather
        self._witness = witness
        self._draw = draw
        self._secrets: dict[str, str] = {}

    def url(self, name: str) -> str:
        return _PLACE + name

    def webhook(self, name: str, events: tuple[str, ...]) -> dict[str, Any]:
        """A task's own webhook, as its client asks for it."""
        secret = self._secrets[name] = (
            SECRET_PREFIX + b64encode(blake2b(name.encode(), digest_size=32).digest()).decode()
        )
        return {"url": self.url(name), "events": list(events), "secret": secret}

    def subscribed(self, name: str, events: tuple[str, ...], *, task_id: str | None = None, secret: str = "") -> None:
        """A gateway has said that `name` is to be told."""
        if secret:
            self._secrets[name] = secret
        self._witness.see(Subscribed(receiver=name, events=events, at=self._witness.now(), task_id=task_id))

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One try of a notifier, in its process. What it is told need not be what the receiver did."""
        process, points = PROCESS.get(), self._points
        assert process is not None
        await points.come_to(process, "post before")
        await self._weather.travel()
        answer = await self._answered(url.removeprefix(_PLACE), headers, body)
        await points.come_to(process, "post after")
        return answer

    async def _answered(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        luck = 1.0 if self.friendly else self._draw.random()
        taken = luck > 0.3
        self._see(name, headers, body, taken=taken)
        if luck < 0.1:
            return _REFUSAL
        if luck < 0.15:
            return _BUSY
        if luck < 0.2 or 0.3 < luck < 0.4:  # the receiver never heard of it, or has it, and its answer was lost
            await asyncio.sleep(_SILENCE * self._draw.random())
            return _MUTE
        return Answer(204) if taken else _REFUSAL

    def _see(self, name: str, headers: Mapping[str, str], body: bytes, *, taken: bool) -> None:
        told = codec.loads(body)
        self._witness.met[f"webhook {'taken' if taken else 'not taken'}"] += 1
        self._witness.see(
            WebhookCame(
                receiver=name,
                delivery=headers["webhook-id"],
                task_id=told["data"]["id"],
                type=told["type"],
                of=datetime.fromisoformat(told["timestamp"]),
                at=self._witness.now(),
                signed=self._signed(self._secrets.get(name), headers, body),
                body=blake2b(body, digest_size=8).hexdigest(),
                taken=taken,
            )
        )

    def _signed(self, secret: str | None, headers: Mapping[str, str], body: bytes) -> bool:
        """By Standard Webhooks, worked out here: the product's own library looks at the clock of the machine."""
        if secret is None:
            return False
        moment = headers["webhook-timestamp"]
        key = b64decode(secret.removeprefix(SECRET_PREFIX))
        content = f"{headers['webhook-id']}.{moment}.".encode() + body
        wanted = f"v1,{b64encode(hmac.digest(key, content, sha256)).decode()}"
        fresh = abs(self._witness.now().timestamp() - int(moment)) <= _FRESH.total_seconds()
        return fresh and wanted in headers["webhook-signature"].split()


class SimulatedPost:
    """Stands for `backhaul.notifier.post.Post`."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return await RECEIVERS.get().post(url, headers, body)

    async def close(self) -> None: ...
