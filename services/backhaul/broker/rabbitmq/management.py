"""The management HTTP API of RabbitMQ (plugin `rabbitmq_management`): policies, bindings, nodes, and the time there."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from yarl import URL

from backhaul.broker.rabbitmq.definitions import policy_json
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages.policies import Policy, Release
from backhaul.core.messages.topology import Binding

T = TypeVar("T")

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
        there, broker = _http(url), URL(amqp_url)
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

        def read(overview: Any) -> Release:
            major, minor, *_ = [*str(overview["rabbitmq_version"]).split("."), "0"]
            return int(major), int(minor)

        return await self._told("/api/overview", read)

    async def policies(self) -> list[Policy]:
        """Those of the vhost."""

        def read(found: Any) -> list[Policy]:
            return [Policy(each["name"], each["pattern"], each["definition"], each["priority"]) for each in found]

        return await self._told(f"/api/policies/{quote(self.vhost, safe='')}", read)

    async def bindings(self) -> list[Binding]:
        """Those of queues of the vhost, with the ones of the default exchange, which is called ""."""

        def read(found: Any) -> list[Binding]:
            ways = [each for each in found if each["destination_type"] == "queue"]
            return [Binding(each["source"], each["destination"], each["routing_key"]) for each in ways]

        return await self._told(f"/api/bindings/{quote(self.vhost, safe='')}", read)

    async def set_policy(self, policy: Policy) -> None:
        """Make it, or change it."""
        body = {name: value for name, value in policy_json(policy).items() if name != "name"}
        await self._ask("PUT", f"/api/policies/{quote(self.vhost, safe='')}/{quote(policy.name, safe='')}", body)

    async def nodes(self) -> list[Node]:
        """Every node that belongs to the cluster, also those that are down."""
        return await self._told("/api/nodes", lambda found: [_node(each) for each in found])

    async def _told(self, path: str, read: Callable[[Any], T]) -> T:
        """What `read` makes of the answer."""
        answer = await self._ask("GET", path)
        try:
            return read(answer.json())
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            media = answer.headers.get("content-type", "no type")
            raise ConfigurationError(
                f"what answers at {self.name} is not the management API of RabbitMQ (GET {path} is answered "
                f"with {media}, and makes no sense): correct BACKHAUL_RABBITMQ_MANAGEMENT_URL"
            ) from error

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise BrokerUnavailable(
                f"the management API of RabbitMQ at {self.name} cannot be reached "
                f"({str(error) or type(error).__name__}): enable the plugin "
                "rabbitmq_management, or correct BACKHAUL_RABBITMQ_MANAGEMENT_URL"
            ) from error
        if answer.status_code in _TURNED_AWAY:
            raise ConfigurationError(
                f"the management API of RabbitMQ at {self.name} does not let this user {method} {path}: give it the "
                "tag policymaker (to set policies) or monitoring (to see nodes), or correct the password"
            )
        if answer.has_redirect_location:
            raise ConfigurationError(
                f"{self.name} sends us elsewhere ({answer.status_code} to {answer.headers['location']}): name the "
                "management API itself in BACKHAUL_RABBITMQ_MANAGEMENT_URL"
            )
        if not answer.is_success:
            raise ConfigurationError(
                f"{self.name} refuses {method} {path} ({answer.status_code}: {_reason(answer)}): look at the log of "
                "RabbitMQ, or correct BACKHAUL_RABBITMQ_MANAGEMENT_URL"
            )
        with suppress(ValueError):  # a proxy may say anything
            if (date := answer.headers.get("date")) is not None:
                self.ahead = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()
        return answer


def _http(url: str) -> URL:
    try:
        found = URL(url)
    except ValueError:
        found = URL()
    if found.scheme not in ("http", "https") or not found.host:
        raise ConfigurationError(
            "the URL of the management API is not one: write BACKHAUL_RABBITMQ_MANAGEMENT_URL as "
            "http://user:password@host:15672"
        )
    return found


def _reason(answer: httpx.Response) -> str:
    """As RabbitMQ says it. Others answer with whole pages, of which nobody wants more than the status."""
    try:
        told = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(told.get("reason", told)) if isinstance(told, dict) else answer.reason_phrase


def _node(told: dict[str, Any]) -> Node:
    names = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
    return Node(told["name"], bool(told["running"]), tuple(names[each] for each in names if told.get(each)))
