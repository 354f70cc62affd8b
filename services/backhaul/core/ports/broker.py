"""The port to the broker: it carries messages, and keeps no truth.

Promises of every adapter: a message whose publish returned is in every queue it was routed to, and survives a restart
if it is persistent; within one queue, messages of one publisher stay in order, redeliveries aside; a delivery that is
not settled when its consumer goes away is delivered again. Lost connections are restored by the adapter itself, with
everything that was declared and consumed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from backhaul.core.messages.topology import Binding, Misfit, Topology

DELETION_SETTLES = timedelta(seconds=1)
"""How long to wait before a queue that was deleted is declared anew. Where a quorum queue is there again within
milliseconds, RabbitMQ before 4 tells its consumers nothing: it consumes for them anew, and drops what it delivers."""

HeaderValue = str | int | float | bool | bytes | Decimal | datetime | list[Any] | dict[str, Any] | None
"""What an AMQP table can hold. Headers of our own are scalars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published. `exchange` "" is the default exchange: `routing_key` names the queue itself."""

    exchange: str
    routing_key: str
    body: bytes
    content_type: str
    message_id: str | None = None
    """The same on every retry of a publish."""
    copies_to: tuple[str, ...] = ()
    """Further routing keys (the `CC` header); a queue that several keys lead to gets the message once."""
    reply_to: str | None = None
    correlation_id: str | None = None
    priority: int | None = None
    expiration: timedelta | None = None
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    content_encoding: str | None = None
    timestamp: datetime | None = None
    """When it was first published, as its producer says; in whole seconds."""
    type: str | None = None
    app_id: str | None = None
    persistent: bool = True
    mandatory: bool = True
    """Whether it is an error that no queue is bound for it."""


class Delivery(Protocol):
    """A message that has arrived. It is settled exactly once; settling never blocks and never raises: when the
    connection it came by is gone, it does nothing, since the broker delivers the message again anyway."""

    @property
    def body(self) -> bytes: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def exchange(self) -> str: ...
    @property
    def routing_key(self) -> str: ...
    @property
    def message_id(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def reply_to(self) -> str | None: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def priority(self) -> int | None: ...
    @property
    def expiration(self) -> timedelta | None: ...
    @property
    def headers(self) -> Mapping[str, Any]: ...
    @property
    def content_encoding(self) -> str | None: ...
    @property
    def timestamp(self) -> datetime | None: ...
    @property
    def type(self) -> str | None: ...
    @property
    def app_id(self) -> str | None: ...
    @property
    def redelivered(self) -> bool: ...

    def ack(self) -> None:
        """Done with it: the broker forgets it."""
        ...

    def requeue(self) -> None:
        """Not for us now: the broker delivers it again, here or elsewhere."""
        ...


class Subscription(Protocol):
    """A consumer of one queue."""

    async def resize(self, free: Callable[[], int]) -> None:
        """From now on at most `free()` deliveries can be outstanding beside those held now (0: none are delivered).

        `free` is called at the one moment at which no delivery is under way. Deliveries held now stay valid, and
        settling them allows no further ones; settling later ones does."""
        ...

    async def cancel(self) -> None:
        """Stop consuming. Deliveries that are held stay valid and can still be settled."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What a look through a queue has found."""

    wanted: tuple[Delivery, ...]
    """Held for as long as the look lasts. Those that are acknowledged are gone, all others wait again."""
    unseen: int
    """How many messages wait behind those that were looked at."""


class Broker(Protocol):
    """See the module's docstring for what holds of every adapter."""

    @property
    def connected(self) -> bool:
        """Whether a publish could succeed now. For health and for choosing to wait; never a promise."""
        ...

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages of ours although it is there (it is short of memory or disk, or does not let
        us in), in a few words that strangers may read; else None. It counts as not `connected` then."""
        ...

    @property
    def refuses(self) -> str | None:
        """What of our work the broker does not permit although it is there, in a few words that strangers may read;
        None: nothing that we have tried of late."""
        ...

    @property
    def reconnects(self) -> int:
        """How often a lost connection was restored. The first one is none, however late it came."""
        ...

    async def start(self, *, required: bool = True, patient: bool = False) -> None:
        """Connect. `required` false: return at once if the broker is down, and keep trying in the background.

        Raises `BrokerUnavailable` (which URL, what happened, what to do) if required and not reached in time,
        `TurnedAway` if it does not let us in (user, password, vhost, certificate). The `patient` are told of the latter
        alone, and it is tried on else."""
        ...

    async def stop(self) -> None:
        """Cancel every consumer and let go of the connections. Safe to call twice, and before `start`."""
        ...

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """`callback` is called after each restored connection, when all consumers are in place again; also after the
        first one, if `start` had returned before, and when a broker that was `blocked` takes messages again."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Make exchanges, queues and bindings exist. What exists as asked is left alone.

        Per-process queues (`Queue.owned`) are declared again after every reconnect. Raises `ConfigurationError` if
        something exists with other properties."""
        ...

    async def check(self, topology: Topology) -> list[Misfit]:
        """What of `topology` is missing or different. Raises `BrokerUnavailable` and `TurnedAway`."""
        ...

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Make bindings not exist: no message takes these ways any more. Those that are not there are left alone."""
        ...

    async def delete(self, queue: str) -> None:
        """Make a queue not exist, with all that it holds. One that is not there is left alone."""
        ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed every message; they are sent in order, in as few writes as possible.

        Raises `Unroutable` if a mandatory message was returned, `Refused` if a queue took no more (the others are
        confirmed), and `BrokerUnavailable` if confirms do not come in time: any of them may have arrived, so publish
        all again as they were."""
        ...

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None = None,
    ) -> Subscription:
        """Hear a queue, with at most `credit` unsettled deliveries at a time. `on_delivery` must not block.

        When the connection is lost, `on_lost` is called: every delivery held is void from then on (the broker
        delivers it again), and consuming goes on with the last credit as soon as the connection is back."""
        ...

    async def subscribe(
        self, queue: str, handle: Callable[[Delivery], Awaitable[None]], *, credit: int
    ) -> Subscription:
        """Hear a queue that foreign producers publish to: up to `credit` calls of `handle` run at a time.

        A delivery is acknowledged when `handle` returns; when it raises, the delivery goes back to the queue after a
        pause. Its `resize` and `cancel` are those of `consume`."""
        ...

    async def get(self, queue: str, limit: int) -> list[Delivery]:
        """Up to `limit` waiting messages, without consuming. Settle each."""
        ...

    def look(
        self, queue: str, want: Callable[[Delivery], bool], *, most: int, heaviest: int
    ) -> AbstractAsyncContextManager[Look]:
        """Look through what waits in `queue`, from its head on, and take nothing away.

        It ends after `most` messages, or when their bodies have `heaviest` bytes together.

        `want` is called once with each of them; it must not block. Those that it wants are held inside the block, and
        gone if they are acknowledged there. All others keep their places, and are seen by the next look; to consumers
        they are hidden while this one lasts. Two looks at one queue follow each other, whichever processes they are of.

        Raises `BrokerUnavailable` within two seconds if the broker does not answer, or if other looks do not end;
        `ConfigurationError` if there is no such queue."""
        ...

    async def ready(self, queue: str) -> int | None:
        """How many messages wait in a queue, not counting deliveries that are out. None: there is no such queue."""
        ...

    async def readers(self, queue: str) -> int | None:
        """How many consumers hear a queue, of whatever process. None: there is no such queue."""
        ...
