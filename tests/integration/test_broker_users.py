"""The service `users` of the compose file: the users of a broker, and what they may, become those of the file."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import aio_pika
import httpx
import pytest
from aiormq.exceptions import ProbableAuthenticationError
from yarl import URL

from tests.support.compose import ROOT, Deployment
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(120)

DIGEST = "backhaul-worker-digest"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment(tmp_path)
    made.up()
    return made


@pytest.fixture
async def users(deployment: Deployment, managed_rabbitmq: PrivateRabbitMQ) -> "Users":
    there = Users(deployment, managed_rabbitmq)
    await there.read_by_a_node_that_starts()
    return there


class Users:
    """Those of a broker, seen as the user that tests have there."""

    def __init__(self, deployment: Deployment, broker: PrivateRabbitMQ) -> None:
        self._deployment, self._broker = deployment, broker
        self._url = broker.management_url

    async def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self._url, trust_env=False) as http:
            answer = await http.request(method, f"/api/{path}", json=body)
            assert answer.is_success, answer.text
            return answer

    async def read_by_a_node_that_starts(self) -> None:
        await self.ask("POST", "definitions", json.loads(self._deployment.read("rabbitmq", "users.json")))

    async def brought_about(self) -> subprocess.CompletedProcess[str]:
        """The end of the program, which knows the URL without our user."""
        there = URL(self._url).with_user(None).with_password(None)
        arguments = [str(there), str(self._deployment.folder / "users")]
        program = [sys.executable, str(ROOT / "deploy/compose/users.py")]
        return await asyncio.to_thread(
            subprocess.run, [*program, *arguments], check=False, capture_output=True, text=True
        )

    async def names(self) -> set[str]:
        return {user["name"] for user in (await self.ask("GET", "users")).json()}

    async def may_log_in(self, reader: str) -> bool:
        """Whether the broker knows the password that a reader finds."""
        here = URL(self._broker.url)
        url = URL(self._deployment.read(reader, "amqp_url")).with_host(str(here.host)).with_port(here.port)
        try:
            async with await aio_pika.connect(url):
                return True
        except ProbableAuthenticationError:
            return False


async def test_a_new_service_a_new_password_and_other_rights_need_no_restart_of_the_broker(
    users: Users, deployment: Deployment
) -> None:
    definitions = json.loads(deployment.users.read_text())
    definitions["users"].append({"name": "backhaul-worker-hello", "tags": []})
    for permission in definitions["permissions"]:
        if permission["user"] == DIGEST:
            permission["read"] = "^hello$"
    deployment.users.write_text(json.dumps(definitions))
    (deployment.folder / "hello").mkdir()
    deployment.passwords("renew", DIGEST)
    deployment.up()
    known_before = await users.may_log_in("digest")

    finished = await users.brought_about()

    (digest,) = (await users.ask("GET", f"users/{DIGEST}/permissions")).json()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "backhaul-worker-hello" in await users.names()
    assert (known_before, await users.may_log_in("digest")) == (False, True)
    assert digest["read"] == "^hello$"


async def test_who_is_taken_out_of_the_file_is_taken_off_the_broker_and_others_are_let_be(users: Users) -> None:
    for name in ("backhaul-worker-gone", "somebody"):
        await users.ask("PUT", f"users/{name}", {"password": "secret", "tags": ""})

    finished = await users.brought_about()

    names = await users.names()
    assert "the user backhaul-worker-gone is deleted: users.json does not name it" in finished.stdout
    assert "backhaul-worker-gone" not in names
    assert {"somebody", "operator", DIGEST} <= names


async def test_a_password_of_the_operator_that_the_broker_does_not_know_is_told_in_one_line(
    users: Users, deployment: Deployment
) -> None:
    deployment.passwords("renew", "operator")
    deployment.up()

    refused = await users.brought_about()
    await users.read_by_a_node_that_starts()
    mended = await users.brought_about()

    assert (refused.returncode, mended.returncode) == (1, 0)
    assert refused.stderr.startswith("users: RabbitMQ does not know the password of operator that is kept: `docker ")
    assert refused.stderr.count("\n") == 1
