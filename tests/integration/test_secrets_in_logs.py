"""What nobody may read in a log, whatever its level: keys, tokens, secrets, payloads, and the paths of webhooks."""

import io
import logging
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
import websockets

from backhaul import Service
from backhaul.core.apikeys import EVERY, new_api_key
from backhaul.core.webhooks import new_secret
from backhaul.settings import Settings
from backhaul.testing import Harness
from backhaul.wiring.logs import set_up_logs
from tests.support.receiver import receiving, status

service = Service("test")


@service.handler("test.double")
async def double(n: int) -> int:
    return 2 * n


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that a process logs that is asked for everything."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    set_up_logs(Settings(log_level="debug", log_format="json"))
    written = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    root.handlers[:], root.level = handlers, level


async def new_key(platform: Harness) -> str:
    """A key that the gateway knows."""
    key, bare = new_api_key("k", "default", EVERY, platform.clock.now())
    await platform.platform.store.add_api_key(key)
    assert platform.platform.gateway is not None
    while await platform.platform.gateway.keyring.anybody() is not None:
        await platform.clock.sleep(timedelta(milliseconds=20))
    return bare


async def follow(platform: Harness, link: str) -> str:
    """What the link to a stream shows, also when it comes with a key that nobody made."""
    async with httpx.AsyncClient(base_url=platform.url, trust_env=False) as http:
        await http.get(link, headers={"Authorization": "Bearer bh_MADE-UP"})
        return (await http.get(link, params={"token": link.partition("token=")[2], "after": 0})).text


async def talk(platform: Harness, bare: str) -> None:
    url = platform.url.replace("http", "ws") + "/v1/ws"
    offered = [websockets.Subprotocol(name) for name in ("backhaul.v1", f"bearer.{bare}")]
    async with websockets.connect(url, subprotocols=offered, proxy=None) as connection:
        await connection.send('{"op":"ping","ref":"SAID-BY-CLIENT"}')
        await connection.recv()


async def test_no_secret_is_logged_at_any_level(log: io.StringIO) -> None:
    own = new_secret()
    async with receiving() as receiver, Harness(service, settings={"webhook_schedule": "0s,1ms"}) as platform:
        receiver.answers.append(status(500))
        bare = await new_key(platform)
        url = f"{receiver.url}/PATH-OF-HOOK?x=QUERY-OF-HOOK"
        wanted = {"kind": "test.double", "input": 4242424242, "webhook": {"url": url, "secret": own}}
        headers = {"Authorization": f"Bearer {bare}"}
        made = (await platform.http.post("/v1/webhook-endpoints", json={"url": url}, headers=headers)).json()
        task = (await platform.http.post("/v1/tasks", json=wanted, headers=headers)).json()
        followed = await follow(platform, task["links"]["stream"])
        await talk(platform, bare)
        for _ in range(3):
            await receiver.call()

    secrets = [bare, made["secret"], own, task["links"]["stream"].partition("token=")[2]]
    others = ["MADE-UP", "PATH-OF-HOOK", "QUERY-OF-HOOK", "SAID-BY-CLIENT", "4242424242", "8484848484"]
    assert "8484848484" in followed
    assert task["id"] in log.getvalue()
    assert [secret for secret in (*secrets, *others) if secret in log.getvalue()] == []
