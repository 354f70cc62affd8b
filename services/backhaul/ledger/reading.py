"""Reading what was published straight to the broker: the body of a submission, and what its transport says."""

from typing import Any

from pydantic import ValidationError

from backhaul.core.apikeys import DEFAULT_TENANT
from backhaul.core.errors import Rejected
from backhaul.core.messages import topology
from backhaul.core.messages.replies import ReplyTo
from backhaul.core.ports.broker import Delivery
from backhaul.core.schema.catalogue import decode
from backhaul.core.task.acceptance import Origin, faults
from backhaul.core.task.record import Caller
from backhaul_contracts.envelope import CLOUDEVENT, CloudEvent
from backhaul_contracts.ids import TaskId
from backhaul_contracts.messages import Submitted
from backhaul_contracts.problems import ProblemCode
from backhaul_contracts.wire import Json, Wire

_SUBMIT = Submitted.model_fields["type"].default


def read_submission(delivery: Delivery, longest: int) -> tuple[Json, Origin]:
    """The body of a submission, of at most `longest` bytes, and what its transport says. Raises `Rejected`."""
    if len(delivery.body) > longest:
        raise Rejected(
            ProblemCode.PAYLOAD_TOO_LARGE,
            f"The body is larger than {longest} bytes, the limit here. Send large media by reference, "
            "or raise BACKHAUL_MAX_BODY.",
        )
    if delivery.reply_to and not topology.answerable(delivery.reply_to):
        raise Rejected(
            ProblemCode.INVALID_INPUT,
            f"reply_to is {delivery.reply_to!r}, a queue of the platform itself: name one of your own.",
        )
    media = (delivery.content_type or "application/json").partition(";")[0].strip().lower()
    if media == CLOUDEVENT:
        return _full(delivery)
    if media == "application/json":
        return _plain(delivery)
    raise Rejected(
        ProblemCode.UNSUPPORTED_MEDIA_TYPE,
        f"The content type {media!r} is not one of application/json (the input itself) and {CLOUDEVENT}.",
    )


def _plain(delivery: Delivery) -> tuple[Json, Origin]:
    if not delivery.message_id:
        raise Rejected(
            ProblemCode.INVALID_INPUT,
            "The message has no message_id. It is the idempotency key: with it, a repeat makes no second task.",
        )
    body = {"kind": delivery.routing_key, "input": decode(delivery.body), **_properties(delivery)}
    return body, Origin(
        tenant=_tenant(delivery),
        key=delivery.message_id,
        traceparent=_traceparent(delivery),
        reply=_reply_to(delivery),
    )


def _full(delivery: Delivery) -> tuple[Json, Origin]:
    raw = decode(delivery.body)
    try:
        event = CloudEvent.model_validate(raw)
    except ValidationError as error:
        raise Rejected(ProblemCode.INVALID_INPUT, "This is not a CloudEvent.", errors=faults(error)) from error
    if event.type != _SUBMIT or not event.id or not event.source:
        raise Rejected(ProblemCode.INVALID_INPUT, f"The CloudEvent needs an id, a source, and the type {_SUBMIT}.")
    if not isinstance(event.data, dict):
        raise Rejected(ProblemCode.INVALID_INPUT, "The CloudEvent's data must be the body of a submission.")
    body = {**_properties(delivery), **event.data}
    caller = _caller(event)
    return body, Origin(
        tenant=_tenant(delivery),
        key=f"{event.source}#{event.id}",
        traceparent=event.traceparent or _traceparent(delivery),
        reply=_reply_to(delivery) if caller is None or caller.waits else None,
        caller=caller,
    )


def _tenant(delivery: Delivery) -> str:
    """The tenant of the same name as the user who publishes, if the message names one: the broker has refused it unless
    that is who is logged in. Nothing else on a message is proof of anything."""
    return delivery.user_id or DEFAULT_TENANT


def _caller(event: CloudEvent) -> Caller | None:
    """The attempt that submits a child, as a worker tells it."""
    try:
        extension = _CallerExtension.model_validate(event.model_extra)
    except ValidationError as error:
        raise Rejected(ProblemCode.INVALID_INPUT, "This is not a CloudEvent.", errors=faults(error)) from error
    attempt, token = extension.parentattempt, extension.parenttoken
    parent_id = event.data.get("parent_id")
    if attempt is None or token is None or not isinstance(parent_id, str):
        return None
    return Caller(TaskId(parent_id), attempt, token, extension.awaited)


class _CallerExtension(Wire):
    parentattempt: int | None = None
    parenttoken: str | None = None
    awaited: bool = False


def _reply_to(delivery: Delivery) -> ReplyTo | None:
    return ReplyTo(delivery.reply_to, delivery.correlation_id) if delivery.reply_to else None


def _properties(delivery: Delivery) -> dict[str, Any]:
    """What AMQP itself can say of a task: priority and time to live."""
    said: dict[str, Any] = {}
    if delivery.priority:
        said["priority"] = delivery.priority
    if delivery.expiration is not None:
        said["expires_in"] = delivery.expiration.total_seconds()
    return said


def _traceparent(delivery: Delivery) -> str | None:
    value = delivery.headers.get("traceparent")
    return value if isinstance(value, str) else None
