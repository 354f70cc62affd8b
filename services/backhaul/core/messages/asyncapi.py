"""The AsyncAPI 3.0 document: what the outside publishes and hears on RabbitMQ, from the models and the topology."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backhaul.core.messages import topology
from backhaul_contracts.envelope import CLOUDEVENT
from backhaul_contracts.events import EventType
from backhaul_contracts.messages import AcceptedReply, EndedReply, Published, RejectedReply, Submitted

Document = dict[str, Any]

SCHEMAS = "#/components/schemas/"
JSON = "application/json"

_MESSAGES = "#/components/messages/"
_BINDING = "0.3.0"
_READ: tuple[type[BaseModel], ...] = (Submitted,)
_WRITTEN: tuple[type[BaseModel], ...] = (AcceptedReply, RejectedReply, EndedReply, Published)
_REPLIES = ("accepted", "rejected", "ended")

_PLAIN_PROPERTIES = {
    "message_id": {"type": "string", "description": "The idempotency key: the same id twice makes one task."},
    "reply_to": {"type": "string", "description": "A queue for replies, on the default exchange."},
    "correlation_id": {"type": "string", "description": "Comes back on every reply."},
    "priority": {"type": "integer", "minimum": 0, "maximum": 9},
    "expiration": {"type": "string", "description": "Milliseconds: the task's `expires_in`."},
    "traceparent": {"type": "string", "description": "W3C trace context, a header of the message."},
}


def asyncapi() -> Document:
    """The document without any kind: the same everywhere."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Backhaul",
            "version": "1",
            "description": "Tasks straight over RabbitMQ, in any language: submit them, hear what becomes of them.",
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CLOUDEVENT,
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channels() -> Document:
    doors = {exchange.name: exchange for exchange in topology.platform(1).exchanges}
    kind = {"description": "The kind of the task, such as `digest.summarise`."}
    event = {"enum": [name.removeprefix("task.") for name in EventType if name.public], "description": "What happened."}
    return {
        "submit": {
            "address": "{kind}",
            "description": "The door for everyone. Publish persistent and `mandatory`, with publisher confirms.",
            "parameters": {"kind": kind},
            "messages": _refer("plain", "submit"),
            "bindings": _exchange(doors[topology.SUBMIT]),
        },
        "events": {
            "address": "task.{kind}.{event}",
            "description": "Committed lifecycle events, at least once; a repeat has the same `id`. Bind your queue.",
            "parameters": {"kind": kind, "event": event},
            "messages": _refer("event"),
            "bindings": _exchange(doors[topology.EVENTS]),
        },
        "replies": {
            "address": None,
            "description": "What a publisher with `reply_to` is told, at least once, in the queue that it names.",
            "messages": _refer(*_REPLIES),
            "bindings": {"amqp": {"is": "queue", "queue": {"durable": True}, "bindingVersion": _BINDING}},
        },
    }


def _operations() -> Document:
    """As the platform does them: it receives submissions and sends events."""
    sent = {"amqp": {"deliveryMode": 2, "bindingVersion": _BINDING}}
    return {
        "submit": {
            "action": "receive",
            "summary": "Take a task from a direct publisher.",
            "channel": {"$ref": "#/channels/submit"},
            "messages": _references("submit", "plain", "submit"),
            "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "ack": True, "bindingVersion": _BINDING}},
            "reply": {
                "address": {"location": "$message.header#/reply_to", "description": "The property `reply_to`."},
                "channel": {"$ref": "#/channels/replies"},
                "messages": _references("replies", *_REPLIES),
            },
        },
        "publish": {
            "action": "send",
            "summary": "Tell what has happened to a task.",
            "channel": {"$ref": "#/channels/events"},
            "messages": _references("events", "event"),
            "bindings": sent,
        },
    }


def _messages() -> Document:
    correlated = {"correlationId": {"location": "$message.header#/correlation_id"}}
    plain = {"type": "object", "properties": _PLAIN_PROPERTIES, "required": ["message_id"]}
    full = {"type": "object", "properties": {n: s for n, s in _PLAIN_PROPERTIES.items() if n != "message_id"}}
    return {
        "plain": {
            "title": "The input itself",
            "contentType": JSON,
            "headers": plain,
            "payload": {},
            "bindings": _typed(JSON),
            "description": "`headers` are AMQP properties, save `traceparent`. The payload fits the kind's input.",
        },
        "submit": {**_event(Submitted, "A submission with all its options"), "headers": full},
        "accepted": {**_event(AcceptedReply, "The task that was made, or that has this id already"), **correlated},
        "rejected": {**_event(RejectedReply, "Why there is no task"), **correlated},
        "ended": {**_event(EndedReply, "The task at its end"), **correlated},
        "event": _event(Published, "What has happened to a task"),
    }


def _event(model: type[BaseModel], title: str) -> Document:
    return {
        "title": title,
        "contentType": CLOUDEVENT,
        "payload": {"$ref": SCHEMAS + model.__name__},
        "bindings": _typed(CLOUDEVENT),
    }


def _typed(content_type: str) -> Document:
    return {"amqp": {"contentEncoding": "utf-8", "messageType": content_type, "bindingVersion": _BINDING}}


def _schemas() -> Document:
    modes = [(model, "validation") for model in _READ] + [(model, "serialization") for model in _WRITTEN]
    _, found = models_json_schema(modes, ref_template=SCHEMAS + "{model}")  # type: ignore[arg-type]
    definitions: Document = found["$defs"]
    return definitions


def _exchange(exchange: topology.Exchange) -> Document:
    described = {
        "name": exchange.name,
        "type": exchange.kind.value,
        "durable": True,
        "autoDelete": False,
        "vhost": "/",
    }
    return {"amqp": {"is": "routingKey", "exchange": described, "bindingVersion": _BINDING}}


def _refer(*names: str) -> Document:
    return {name: {"$ref": _MESSAGES + name} for name in names}


def _references(channel: str, *names: str) -> Sequence[Document]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]
