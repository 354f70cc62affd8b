"""Definitions files: what a deployment declares, as `rabbitmqctl import_definitions` and `load_definitions` take it."""

from collections.abc import Mapping
from typing import Any

from backhaul.broker.rabbitmq.topology import exchange_frame, queue_frame
from backhaul.core.messages.permissions import Grants
from backhaul.core.messages.policies import Policy
from backhaul.core.messages.topology import Binding, Exchange, Queue, Topology

_EVERYTHING_PASSES = {"auto_delete": False, "internal": False}


def definitions(topology: Topology, policies: tuple[Policy, ...], vhost: str) -> dict[str, Any]:
    """Exchanges, queues, bindings and policies. May be imported again and again: what is there is left alone."""
    return {
        "vhosts": [{"name": vhost}],
        "exchanges": [_exchange(exchange, vhost) for exchange in topology.exchanges],
        "queues": [_queue(queue, vhost) for queue in topology.queues],
        "bindings": [_binding(binding, vhost) for binding in topology.bindings],
        "policies": [{"vhost": vhost, **policy_json(policy)} for policy in policies],
    }


def users(grants: Mapping[str, tuple[Grants, str]], vhost: str) -> dict[str, Any]:
    """Users, by name with what they may do and their tag, and their permissions. None has a password: nobody can log in
    as one of them before it gets one. To be imported once: an import takes the passwords away again."""
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {
                "name": name,
                "password_hash": "",
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [tag] if tag else [],
                "limits": {},
            }
            for name, (_, tag) in grants.items()
        ],
        "permissions": [{"user": name, "vhost": vhost, **grant.patterns()} for name, (grant, _) in grants.items()],
    }


def policy_json(policy: Policy) -> dict[str, Any]:
    """As definitions and the HTTP API of RabbitMQ have it."""
    return {
        "name": policy.name,
        "pattern": policy.pattern,
        "apply-to": "queues",
        "definition": dict(policy.definition),
        "priority": policy.priority,
    }


def _exchange(exchange: Exchange, vhost: str) -> dict[str, Any]:
    frame = exchange_frame(exchange)
    return {
        "name": exchange.name,
        "vhost": vhost,
        "type": exchange.kind.value,
        "durable": True,
        **_EVERYTHING_PASSES,
        "arguments": frame.arguments or {},
    }


def _queue(queue: Queue, vhost: str) -> dict[str, Any]:
    frame = queue_frame(queue)
    return {"name": queue.name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": frame.arguments}


def _binding(binding: Binding, vhost: str) -> dict[str, Any]:
    return {
        "source": binding.exchange,
        "vhost": vhost,
        "destination": binding.queue,
        "destination_type": "queue",
        "routing_key": binding.key,
        "arguments": {},
    }
