"""Making exchanges, queues and bindings exist on RabbitMQ, and looking whether they do."""

import asyncio
from collections.abc import Sequence

from pamqp.base import Frame
from pamqp.commands import Exchange as ExchangeMethods
from pamqp.commands import Queue as QueueMethods
from pamqp.common import FieldTable

from backhaul.broker.rabbitmq.channel import Channel
from backhaul.broker.rabbitmq.errors import ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, ChannelLost
from backhaul.broker.rabbitmq.listing import take
from backhaul.broker.rabbitmq.session import Session
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages.topology import NEVER, OWNED_BYTES, OWNED_EXPIRY, Binding, Exchange, Misfit, Queue, Topology

_PATIENCE = 3.0
_AT_ONCE = 256
_MUTE = (
    "start the nodes that hold it; if all run, delete it with `rabbitmqctl delete_queue`, "
    "then run `backhaul topology apply`"
)
_DIFFERENT = "delete it (what it holds is lost), or change it back, then run `backhaul topology apply`"


async def declare(session: Session, topology: Topology) -> None:
    """See `Broker.declare`. Raises `ChannelLost` and `TimeoutError` when the connection goes."""
    channel = await session.channel()
    try:
        for exchange in topology.exchanges:
            await _make(channel, f"exchange {exchange.name}", exchange_frame(exchange))
        for queue in topology.queues:
            await _make(channel, f"queue {queue.name}", queue_frame(queue))
        if topology.bindings:
            await _make(channel, "a binding", *(_bind(binding) for binding in topology.bindings))
    finally:
        channel.close()


async def check(session: Session, topology: Topology) -> list[Misfit]:
    """See `Broker.check`. AMQP cannot list bindings: a missing one shows as `Unroutable`, and `declare` repairs it.

    `session` is for this alone: RabbitMQ closes the whole connection of who asks a queue without a process.
    Raises `ChannelLost` and `TimeoutError`.
    """
    wanted: list[tuple[str, Frame, Frame]] = [
        (f"exchange {exchange.name}", _exists(exchange), exchange_frame(exchange)) for exchange in topology.exchanges
    ]
    wanted += [(f"queue {queue.name}", _stands(queue.name), queue_frame(queue)) for queue in topology.queues]
    misfits: list[Misfit | None] = []
    compares = True
    for thing, look, make in wanted:
        try:
            misfits.append(await _misfit(session, thing, look, *((make,) if compares else ())))
        except ChannelLost as error:
            if error.code != ACCESS_REFUSED:
                raise
            # Who may not declare cannot compare: that it exists must do. Nor is it tried again with every other thing,
            # for RabbitMQ logs each refusal as an error.
            compares = False
    return [misfit for misfit in misfits if misfit is not None]


async def answers(session: Session, queue: Queue) -> Misfit | None:
    """Whether a quorum queue works. Declaring does not tell: it finds a queue that has lost its majority, or was made
    less than a second before its node crashed and never takes a message (3.10.8), and says that all is well.

    RabbitMQ refuses `basic.get` on queues with a single active consumer, and it would take a message that waits.

    Raises `ChannelLost`, also with `ACCESS_REFUSED`: who may not read cannot know.
    """
    if queue.owned or queue.single_active_consumer or await ready(session, queue.name) != 0:
        return None
    try:
        async with asyncio.timeout(_PATIENCE):
            for delivery in await take(session, queue.name, 1):
                delivery.requeue()
    except ChannelLost as error:
        if error.code == ACCESS_REFUSED:
            raise
    except TimeoutError:
        pass
    else:
        return None
    return Misfit(f"queue {queue.name}", "exists, but does not answer", _MUTE, passing=True)


async def ready(session: Session, queue: str) -> int | None:
    """See `Broker.ready`. Raises `ChannelLost` and `TimeoutError`."""
    found = await _looked(session, queue)
    return None if found is None else int(found.message_count or 0)


async def readers(session: Session, queue: str) -> int | None:
    """See `Broker.readers`. Raises `ChannelLost` and `TimeoutError`."""
    found = await _looked(session, queue)
    return None if found is None else int(found.consumer_count or 0)


async def unbind(session: Session, bindings: Sequence[Binding]) -> None:
    """See `Broker.unbind`. Raises `ChannelLost` and `TimeoutError`."""
    channel = await session.channel()
    try:
        for start in range(0, len(bindings), _AT_ONCE):
            await channel.call(*map(_unbind, bindings[start : start + _AT_ONCE]))
    finally:
        channel.close()


async def delete(session: Session, queue: str) -> None:
    """See `Broker.delete`. Raises `ChannelLost` and `TimeoutError`."""
    channel = await session.channel()
    try:
        await channel.call(QueueMethods.Delete(queue=queue))
    finally:
        channel.close()


async def _looked(session: Session, queue: str) -> QueueMethods.DeclareOk | None:
    channel = await session.channel()
    try:
        reply = await channel.call(_stands(queue))
    except ChannelLost as error:
        if error.code == NOT_FOUND:
            return None
        raise
    finally:
        channel.close()
    return reply if isinstance(reply, QueueMethods.DeclareOk) else None


async def _make(channel: Channel, thing: str, *methods: Frame) -> None:
    try:
        await channel.call(*methods)
    except ChannelLost as error:
        if error.code is None:
            raise
        raise ConfigurationError(_refused(thing, error)) from error


async def _misfit(session: Session, thing: str, look: Frame, *make: Frame) -> Misfit | None:
    """`make` changes nothing on what exists: it only compares."""
    channel = await session.channel()
    try:
        for frame in (look, *make):
            await channel.call(frame)
    except ChannelLost as error:
        if error.code == NOT_FOUND:
            return Misfit(thing, "does not exist")
        if error.code == PRECONDITION_FAILED:
            return Misfit(thing, f"has other properties ({error.text})", _DIFFERENT)
        raise
    finally:
        channel.close()
    return None


def _refused(thing: str, error: ChannelLost) -> str:
    if error.code == PRECONDITION_FAILED:
        return f"{thing} exists on RabbitMQ with other properties ({error.text}): {_DIFFERENT}"
    if error.code == ACCESS_REFUSED:
        return f"RabbitMQ does not let us make {thing} ({error.text}): run `backhaul topology apply` as one who may"
    return f"RabbitMQ cannot make {thing} ({error}): run `backhaul topology apply`"


def _exists(exchange: Exchange) -> Frame:
    return ExchangeMethods.Declare(exchange=exchange.name, exchange_type=exchange.kind.value, passive=True)


def exchange_frame(exchange: Exchange) -> ExchangeMethods.Declare:
    """What makes it, durable."""
    arguments: FieldTable = {"alternate-exchange": exchange.alternate} if exchange.alternate else {}
    return ExchangeMethods.Declare(
        exchange=exchange.name, exchange_type=exchange.kind.value, durable=True, arguments=arguments
    )


def _stands(queue: str) -> Frame:
    return QueueMethods.Declare(queue=queue, passive=True)


def queue_frame(queue: Queue) -> QueueMethods.Declare:
    """What makes it, durable, with all of its arguments."""
    arguments = _owned() if queue.owned else _quorum(queue)
    return QueueMethods.Declare(queue=queue.name, durable=True, arguments=arguments)


def _owned() -> FieldTable:
    return {
        "x-queue-type": "classic",
        "x-expires": int(OWNED_EXPIRY.total_seconds() * 1000),
        "x-max-length-bytes": OWNED_BYTES,
        "x-overflow": "drop-head",
    }


def _quorum(queue: Queue) -> FieldTable:
    arguments: FieldTable = {"x-queue-type": "quorum", "x-delivery-limit": NEVER}  # it must not give up a message
    if queue.dead_letter_to is not None:
        arguments["x-delivery-limit"] = queue.delivery_limit
        arguments["x-dead-letter-exchange"] = ""
        arguments["x-dead-letter-routing-key"] = queue.dead_letter_to
    if queue.single_active_consumer:
        arguments["x-single-active-consumer"] = True
    return arguments


def _unbind(binding: Binding) -> Frame:
    return QueueMethods.Unbind(queue=binding.queue, exchange=binding.exchange, routing_key=binding.key)


def _bind(binding: Binding) -> Frame:
    return QueueMethods.Bind(queue=binding.queue, exchange=binding.exchange, routing_key=binding.key)
