"""The files from which RabbitMQ can be set up without a connection of ours: `backhaul topology export`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backhaul.core.messages import topology
from backhaul.core.messages.permissions import GATEWAY, LEDGER, Grants, worker
from backhaul.core.messages.policies import Release, policies
from backhaul.core.messages.topology import Topology

DEPLOYER = "policymaker"
"""The tag of who runs `backhaul topology apply`: it lets a user set policies over the management API."""


def write_definitions(
    folder: Path, services: Mapping[str, Sequence[str]], *, shards: int, release: Release, vhost: str
) -> list[Path]:
    """Write `definitions.json` and `users.json`; returns their paths. `services`: by name, the queues that the tasks of
    each wait in."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in rabbitmq_definitions(services, shards=shards, release=release, vhost=vhost).items():
        path = folder / name
        path.write_text(_readable(content))
        written.append(path)
    return written


def rabbitmq_definitions(
    services: Mapping[str, Sequence[str]], *, shards: int, release: Release, vhost: str
) -> dict[str, dict[str, Any]]:
    """The content of each file, by its name."""
    from backhaul.broker.rabbitmq.definitions import definitions, users

    queues = sorted({queue for named in services.values() for queue in named})
    parts = (topology.platform(shards), topology.task_queues(queues))
    whole = Topology(
        exchanges=tuple(exchange for part in parts for exchange in part.exchanges),
        queues=tuple(queue for part in parts for queue in part.queues),
        bindings=tuple(binding for part in parts for binding in part.bindings),
    )
    return {
        "definitions.json": definitions(whole, policies(release), vhost),
        "users.json": users(_users(services), vhost),
    }


def _readable(content: Mapping[str, Sequence[Any]]) -> str:
    """As JSON, one object a line: so that a change is seen for what it is."""
    parts = []
    for name, objects in content.items():
        lines = ",\n".join(f"    {json.dumps(each)}" for each in objects)
        parts.append(f"  {json.dumps(name)}: [\n{lines}\n  ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _users(services: Mapping[str, Sequence[str]]) -> dict[str, tuple[Grants, str]]:
    return {
        "backhaul-deploy": (LEDGER, DEPLOYER),
        "backhaul-gateway": (GATEWAY, ""),
        "backhaul-ledger": (LEDGER, ""),
        **{f"backhaul-worker-{name}": (worker({name: queues}), "") for name, queues in services.items()},
    }
