"""What a service announces of the kinds it handles."""

from typing import Any

from pydantic import Field

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


class Announcement(Wire):
    """All kinds of one worker, sent with its first beat and whenever the ledger asks for it."""

    kinds: list[KindSpec]
