"""Dead letters: listed, shown, sent again where they were sent first, and deleted."""

import binascii
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from starlette.types import ASGIApp

from backhaul.core.apikeys import DEFAULT_TENANT
from backhaul.core.errors import BrokerUnavailable, ConfigurationError, Rejected, Unroutable
from backhaul.core.messages import topology
from backhaul.core.messages.deadletters import QUEUES, UNKNOWN, replayed
from backhaul.core.ports.broker import Delivery, Message
from backhaul.gateway.api.letters import Key, Letter, Naming, Newest, letter, queue_of
from backhaul.gateway.api.steering import Nothing
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.queries import Parameters, integer, no_parameters
from backhaul.gateway.http.replies import Empty, Reply
from backhaul.gateway.http.request import Request, parsed
from backhaul.gateway.patience import carried
from backhaul_contracts.deadletters import DeadLetterPage
from backhaul_contracts.problems import ProblemCode

_log = logging.getLogger("backhaul.gateway")

MOST_LETTERS = 1_000
MOST_SEEN = 20_000
HEAVIEST_LOOK = 256 * 1024 * 1024
"""A look at one queue goes no further than so many letters or bytes."""


class DeadLetters:
    """The endpoints for what could not be handled. The queues on the broker are its only home."""

    def __init__(self, gateway: Gateway) -> None:
        self._broker = gateway.broker

    async def list_dead_letters(self, request: Request) -> ASGIApp:
        parameters = Parameters(request, {"queue", "reason", "limit", "cursor"})
        queue, reason = parameters.read("queue", _queue), parameters.one("reason")
        limit = parameters.read("limit", integer(1, MOST_LETTERS))
        newest = Newest(
            50 if limit is None else limit,
            parameters.read("cursor", _position),
            lambda origin: reason is None or origin.reason == reason,
        )
        unseen = 0
        for name in QUEUES if queue is None else (queue,):
            unseen += await self._see(name, newest)
        return _page(newest, unseen)

    async def dead_letter(self, request: Request) -> ASGIApp:
        no_parameters(request)
        async with self._found(request) as (_, found):
            return _shown(200, found)

    async def replay_dead_letter(self, request: Request) -> ASGIApp:
        no_parameters(request)
        parsed(Nothing, await request.optional_json())
        async with self._found(request) as (delivery, found):
            await self._send(replayed(delivery, found.origin), found)
            delivery.ack()
        _log.info("dead letter %s of %s is replayed", found.id, found.queue)
        return _shown(202, found)

    async def delete_dead_letter(self, request: Request) -> ASGIApp:
        no_parameters(request)
        async with self._found(request) as (delivery, found):
            delivery.ack()
        _log.info("dead letter %s of %s is deleted", found.id, found.queue)
        return Empty(204)

    async def _see(self, queue: str, newest: Newest) -> int:
        """Show all letters of a queue to `newest`; returns how many could not be seen."""
        if not await carried(self._broker.ready(queue)):
            return 0
        try:
            async with self._broker.look(
                queue, newest.looking_at(queue), most=MOST_SEEN, heaviest=HEAVIEST_LOOK
            ) as look:
                return look.unseen
        except ConfigurationError as error:
            raise BrokerUnavailable(str(error)) from error

    @asynccontextmanager
    async def _found(self, request: Request) -> AsyncIterator[tuple[Delivery, Letter]]:
        """The letter that the path names, held for as long as the block lasts. Raises `Rejected` (`not_found`)."""
        wanted = request.path("letter_id")
        queue = queue_of(wanted)
        if queue is None or not await carried(self._broker.ready(queue)):
            raise _missing(wanted)
        naming = Naming(queue)
        try:
            async with self._broker.look(
                queue, lambda delivery: naming.name(delivery) == wanted, most=MOST_SEEN, heaviest=HEAVIEST_LOOK
            ) as look:
                if not look.wanted:
                    raise _missing(wanted)
                yield look.wanted[0], letter(wanted, queue, look.wanted[0])
        except ConfigurationError as error:
            raise BrokerUnavailable(str(error)) from error

    async def _send(self, message: Message, found: Letter) -> None:
        """Return when the message is in a queue. Raises `Rejected` if none takes it."""
        _keep_tenants_apart(found)
        if found.origin.reason == UNKNOWN or not await self._leads_somewhere(message):
            raise _not_replayable(found)
        try:
            await carried(self._broker.publish([message]))
        except Unroutable as error:
            raise _not_replayable(found) from error

    async def _leads_somewhere(self, message: Message) -> bool:
        """What no queue is bound for would come back here, since our exchanges have an alternate one."""
        if message.exchange != topology.TASKS:
            return True
        return await carried(self._broker.ready(topology.task_queue(message.routing_key))) is not None


def _page(newest: Newest, unseen: int) -> Reply:
    letters = newest.letters()
    cursor = _cursor(letters[-1].key) if newest.more and letters else None
    page = DeadLetterPage(data=[found.view() for found in letters], next_cursor=cursor, unseen=unseen)
    return Reply(200, page.model_dump_json().encode())


def _shown(status: int, found: Letter) -> Reply:
    return Reply(status, found.view().model_dump_json().encode())


def _cursor(key: Key) -> str:
    """Continues a list behind a letter, which may be gone by then."""
    moment, letter_id = key
    return urlsafe_b64encode(f"{moment.isoformat()} {letter_id}".encode()).decode().rstrip("=")


def _position(text: str) -> Key:
    try:
        moment, letter_id = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").split(" ")
        return datetime.fromisoformat(moment).astimezone(UTC), letter_id
    except (binascii.Error, ValueError, OverflowError) as error:
        raise ValueError("the cursor is not one that this API gave out") from error


def _queue(text: str) -> str:
    if text not in QUEUES:
        raise ValueError(f"{text!r} is not a queue of dead letters. Known: {', '.join(QUEUES)}")
    return text


def _missing(letter_id: str) -> Rejected:
    return Rejected(ProblemCode.NOT_FOUND, f"There is no dead letter {letter_id!r}.")


def _keep_tenants_apart(found: Letter) -> None:
    """Sent by the gateway, a submission is one of the default tenant."""
    user = found.origin.user
    if found.origin.exchange == topology.SUBMIT and user not in (None, DEFAULT_TENANT):
        raise Rejected(
            ProblemCode.NOT_REPLAYABLE,
            f"The user {user!r} of the broker has published it, and only that user can do so again: from anybody else "
            "its task would belong to another tenant. Have it published once more, then delete it.",
        )


def _not_replayable(found: Letter) -> Rejected:
    if found.origin.reason == UNKNOWN:
        return Rejected(ProblemCode.NOT_REPLAYABLE, "Nothing on the message tells where it was sent to: delete it.")
    where = f"{found.origin.exchange or 'the default exchange'} with the key {found.origin.routing_key!r}"
    return Rejected(
        ProblemCode.NOT_REPLAYABLE,
        f"No queue takes what is sent to {where}: start the service that it is for, then replay it.",
        task_id=found.task_id,
    )
