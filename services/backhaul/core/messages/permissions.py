"""Which role may do what on the broker: the least that its work needs, as plain data.

A name that ends with `*` stands for all names that begin so. "" is the default exchange, by which queues are reached by
their names: who may write to it can put a message into any queue.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from backhaul.core.messages.topology import (
    BEATS,
    CLAIMS,
    CONTROL,
    DEAD,
    EVENTS,
    INVALID,
    LIVE,
    ON,
    REPLIES,
    REPORTS,
    SUBMIT,
    TASKS,
    UNROUTED,
    task_queue,
)

DEFAULT_EXCHANGE = "amq.default"
"""What RabbitMQ calls the default exchange in permissions."""

_OURS = "backhaul.*"
_LETTERS = (DEAD, INVALID, UNROUTED)


class Operation(StrEnum):
    CONFIGURE = "configure"
    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Permission:
    """One operation on one queue or exchange."""

    operation: Operation
    name: str

    @property
    def resource(self) -> str:
        return self.name or DEFAULT_EXCHANGE

    def __str__(self) -> str:
        return f"{self.operation} {self.resource}"


@dataclass(frozen=True, slots=True)
class Grants:
    """What a user may do. To bind a queue takes writing to it and reading the exchange."""

    configure: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()

    def samples(self) -> Iterator[Permission]:
        """One permission for each name, with an example in place of a star."""
        for operation, names in zip(Operation, (self.configure, self.write, self.read), strict=True):
            for name in names:
                yield Permission(operation, name.replace("*", "doctor"))

    def patterns(self) -> dict[str, str]:
        """The regular expressions that RabbitMQ's permissions are, by operation."""
        named = zip(Operation, (self.configure, self.write, self.read), strict=True)
        return {operation.value: _pattern(names) for operation, names in named}


GATEWAY = Grants(
    configure=(f"{LIVE}.*", *(f"{queue}.look" for queue in _LETTERS)),
    # By the default exchange it answers publishers, and replays dead letters, also those of whatever was sent to a
    # queue by its name.
    write=("", TASKS, EVENTS, LIVE, f"{LIVE}.*", CONTROL, SUBMIT, REPORTS),
    read=(LIVE, f"{LIVE}.*", *_LETTERS),
)
LEDGER = Grants(configure=(_OURS,), write=("", _OURS), read=(_OURS,))
"""It owns all that is called backhaul: it declares the queues of services, and anew what was deleted."""
NOTIFIER = Grants()


def worker(services: Mapping[str, Iterable[str]] | None = None) -> Grants:
    """`services`: by name, the queues that its tasks wait in; None: what every worker needs, whatever it serves."""
    own = (f"{REPLIES}.*", f"{CONTROL}.*")
    served = services or {}
    queues = sorted({task_queue(queue) for named in served.values() for queue in named})
    return Grants(
        configure=own,
        write=(*own, CLAIMS, BEATS, REPORTS, SUBMIT, DEAD),
        read=(REPLIES, CONTROL, *own, *queues, *(f"{ON}.{service}.*" for service in sorted(served))),
    )


ROLES: Mapping[str, Grants] = {"gateway": GATEWAY, "ledger": LEDGER, "worker": worker()}


def _pattern(names: Iterable[str]) -> str:
    """RabbitMQ looks for a match anywhere: so it is tied to both ends. Nothing at all is an empty text."""
    choices = [re.escape(name or DEFAULT_EXCHANGE).replace(r"\*", ".*") for name in names]
    return f"^({'|'.join(choices)})$" if choices else "^$"
