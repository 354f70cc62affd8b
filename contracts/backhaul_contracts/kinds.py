"""What a service announces of the kinds it handles."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from backhaul_contracts.wire import Duration, Kind, QueueName, Wire


class RetryRule(Wire):
    """Full-jitter exponential back-off: a wait between 0 and `min(cap, base * 2 ** (failures - 1))`."""

    max_attempts: int = Field(default=3, ge=1)
    base: Duration
    cap: Duration


class KindSpec(Wire):
    """A kind as its service announces it: the contract that the gateway checks each input against."""

    kind: Kind
    version: str = "1"
    service: str
    service_version: str
    queue: QueueName
    timeout: Duration
    grace: Duration
    retry: RetryRule
    input_schema: dict[str, Any]
    result_schema: dict[str, Any]


class Interest(Wire):
    """Events that a service wants to hear: what matches one of the `patterns` waits in a queue of the service's own.

    `name` tells the queues of one service apart. Patterns are binding keys of AMQP for keys `task.<kind>.<event>`.
    """

    service: QueueName
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
    patterns: list[Annotated[str, StringConstraints(min_length=1, max_length=255)]] = Field(min_length=1)


class RefusedKind(Wire):
    """A kind as it was announced and not taken: `reason` says which promises of that version it would break."""

    kind: str
    version: str
    reason: str


class Announcement(Wire):
    """All kinds of one worker, and what it wants to hear; sent with its first beat and whenever the ledger asks for
    it."""

    kinds: list[KindSpec]
    interests: list[Interest] = Field(default_factory=list)
