"""The management HTTP API of RabbitMQ (plugin `rabbitmq_management`): policies, nodes, and the time there."""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from yarl import URL

from backhaul.broker.rabbitmq.definitions import policy_json
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.policies import Policy, Release

_PATIENCE = 5.0
_TURNED_AWAY = (401, 403)


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the cluster. `alarms` are those that stop publishers."""

    name: str
    running: bool
    alarms: tuple[str, ...]


class Management:
    """One visit. Every method raises `BrokerUnavailable`, or `ConfigurationError` if this user may not ask that."""

    def __init__(self, url: str, amqp_url: str) -> None:
        """`url` as in `http://user:password@host:15672`; without a user it is that of `amqp_url`. The vhost is too."""
        there, broker = URL(url), URL(amqp_url)
        user, password = (there.user, there.password) if there.user else (broker.user, broker.password)
        self.name = str(there.with_user(None).with_password(None).with_query(None))
        self.vhost = broker.path.removeprefix("/") or "/"
        self._http = httpx.AsyncClient(
            base_url=self.name, auth=(user or "guest", password or "guest"), timeout=_PATIENCE, trust_env=False
        )
        self.ahead: float | None = None
        """By how many seconds its clock is before ours, to within a second; None before the first answer."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def release(self) -> Release:
        """The version of RabbitMQ."""
        overview = (await self._ask("GET", "/api/overview")).json()
        major, minor, *_ = [*str(overview["rabbitmq_version"]).split("."), "0"]
        return int(major), int(minor)

    async def policies(self) -> list[Policy]:
        """Those of the vhost."""
        found = (await self._ask("GET", f"/api/policies/{quote(self.vhost, safe='')}")).json()
        return [Policy(each["name"], each["pattern"], each["definition"], each["priority"]) for each in found]

    async def set_policy(self, policy: Policy) -> None:
        """Make it, or change it."""
        body = {name: value for name, value in policy_json(policy).items() if name != "name"}
        await self._ask("PUT", f"/api/policies/{quote(self.vhost, safe='')}/{quote(policy.name, safe='')}", body)

    async def nodes(self) -> list[Node]:
        """Every node that belongs to the cluster, also those that are down."""
        return [_node(each) for each in (await self._ask("GET", "/api/nodes")).json()]

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise BrokerUnavailable(
                f"the management API of RabbitMQ at {self.name} cannot be reached ({error}): enable the plugin "
                "rabbitmq_management, or correct BACKHAUL_RABBITMQ_MANAGEMENT_URL"
            ) from error
        if answer.status_code in _TURNED_AWAY:
            raise ConfigurationError(
                f"the management API of RabbitMQ at {self.name} does not let this user {method} {path}: give it the "
                "tag policymaker (to set policies) or monitoring (to see nodes), or correct the password"
            )
        if not answer.is_success:
            raise ConfigurationError(f"RabbitMQ refuses {method} {path}: {answer.text}: look at its log")
        if (date := answer.headers.get("date")) is not None:
            self.ahead = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()
        return answer


def _node(told: dict[str, Any]) -> Node:
    names = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
    return Node(told["name"], bool(told["running"]), tuple(names[each] for each in names if told.get(each)))
