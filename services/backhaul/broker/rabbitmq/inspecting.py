"""Looking at a RabbitMQ from outside: what it is, whether it takes messages, and what this user may do on it.

Nothing is changed by it: every question is one that the broker answers before it would do anything.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from pamqp.base import Frame
from pamqp.commands import Basic
from pamqp.commands import Exchange as ExchangeMethods
from pamqp.commands import Queue as QueueMethods
from yarl import URL

from backhaul.broker.rabbitmq.errors import ACCESS_REFUSED, ChannelLost, redacted
from backhaul.broker.rabbitmq.frames import publish_frames
from backhaul.broker.rabbitmq.session import RefusedError, Session
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages.permissions import Operation, Permission
from backhaul.core.ports.broker import Message

_HEARTBEAT = timedelta(seconds=5)
_PATIENCE = 3.0
_NOWHERE = Message(
    exchange="", routing_key="backhaul.nowhere", body=b"", content_type="", persistent=False, mandatory=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """A RabbitMQ that has accepted our connection."""

    name: str
    """Its URL without the password."""
    user: str
    vhost: str
    product: str
    version: str
    cluster: str
    blocked: str | None
    """Why it takes no messages now, in its words; None if it does."""
    forbidden: frozenset[Permission]
    """Those of the permissions asked for that this user has not."""

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor, *_ = [*self.version.split("."), "0"]
        return int(major), int(minor)


async def inspect_broker(url: str, permissions: Iterable[Permission]) -> BrokerFacts:
    """Raises `BrokerUnavailable`: which URL, what happened, what to do."""
    address = URL(url)
    async with _visit(address, "backhaul doctor") as session:
        return await _facts(session, address, permissions)


async def missing_permissions(url: str, permissions: Iterable[Permission], *, name: str) -> frozenset[Permission]:
    """Those of them that the user of `url` has not. `name` is what the broker's operators see. Raises as
    `inspect_broker` does."""
    async with _visit(URL(url), name) as session:
        return await _forbidden(session, permissions)


@asynccontextmanager
async def _visit(url: URL, name: str) -> AsyncIterator[Session]:
    try:
        session = await Session.open(url, name=name, heartbeat=_HEARTBEAT)
    except RefusedError as error:
        raise error.refusal.error() from error
    try:
        yield session
    except (ChannelLost, TimeoutError) as error:
        raise BrokerUnavailable(
            f"RabbitMQ at {redacted(url)} has accepted the connection and does not answer ({error}): "
            "look at its log and at its alarms"
        ) from error
    finally:
        if session.wire.blocked is not None:
            session.wire.abort()  # it would not even hear a goodbye
        await session.close()


async def _facts(session: Session, url: URL, permissions: Iterable[Permission]) -> BrokerFacts:
    told = session.properties
    forbidden = await _forbidden(session, permissions)
    return BrokerFacts(
        name=redacted(url),
        user=url.user or "guest",
        vhost=url.path.removeprefix("/") or "/",
        product=told.get("product", "an unknown broker"),
        version=told.get("version", "0.0"),
        cluster=told.get("cluster_name", ""),
        blocked=await _blocked(session),
        forbidden=forbidden,
    )


async def _blocked(session: Session) -> str | None:
    """RabbitMQ tells of an alarm only those who publish: so something is published that reaches nobody."""
    channel = await session.channel()
    try:
        session.wire.send(publish_frames(channel.number, _NOWHERE, session.frame_max))
        with suppress(ChannelLost, TimeoutError):  # the former: this user may not publish there, and is told nothing
            async with asyncio.timeout(_PATIENCE):
                await channel.call(Basic.Qos(prefetch_count=1))  # answered behind it, or not at all in an alarm
        return session.wire.blocked
    finally:
        channel.close()


async def _forbidden(session: Session, permissions: Iterable[Permission]) -> frozenset[Permission]:
    """With as few errors in the broker's log as can be: a user with all of them leaves one for each `configure`, and
    one for the default exchange."""
    asked = list(permissions)
    configure, write, read = ([each for each in asked if each.operation is operation] for operation in Operation)
    forbidden = {each for each in configure if not await _allowed(session, each, _declare(each.name))}
    forbidden |= {
        each for each in write if not await _allowed(session, each, _unbind(each.name, _another(read, each.name)))
    }
    writable = next((each.name for each in write if each.name and each not in forbidden), None)
    for each in read:
        question = _consume(each.name) if writable is None else _unbind(writable, each.name)
        if not await _allowed(session, each, question):
            forbidden.add(each)
    return frozenset(forbidden)


def _another(read: Iterable[Permission], name: str) -> str:
    """What to unbind `name` from: not from itself, or who may write to it and not read it would be refused in words
    that say nothing of which."""
    return next((each.name for each in read if each.name != name), "")


async def _allowed(session: Session, permission: Permission, question: Frame) -> bool:
    channel = await session.channel()
    try:
        await channel.call(question)
    except ChannelLost as error:
        return not (error.code == ACCESS_REFUSED and f"'{permission.resource}'" in error.text)
    finally:
        channel.close()
    return True


def _declare(queue: str) -> Frame:
    """The permission is looked at before the arguments, of which this one is never right."""
    return QueueMethods.Declare(queue=queue, durable=True, arguments={"x-expires": -1})


def _unbind(destination: str, source: str) -> Frame:
    """It takes writing to the one, which is looked at first, and reading the other. Neither has to be there, let alone
    a binding, and none has this key."""
    return ExchangeMethods.Unbind(destination=destination, source=source, routing_key=_NOWHERE.routing_key)


def _consume(queue: str) -> Frame:
    """As `_declare`."""
    return Basic.Consume(queue=queue, arguments={"x-priority": "never right"})
