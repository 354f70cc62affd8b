"""The errors that Backhaul raises.

BackhaulError
├── ConfigurationError      a setting, a handler or a command that cannot work; says which, why and what to do
├── StoreUnavailable        the database cannot be reached or does not answer in time
├── BrokerUnavailable       the broker cannot be reached, or does not confirm in time
│   └── Unroutable          confirmed, but no queue wanted it
└── Rejected                a request that is refused, with its problem
"""

from collections.abc import Sequence

from backhaul_contracts.problems import TYPE_BASE, Fault, Problem, ProblemCode


class BackhaulError(Exception):
    """The base of all errors that Backhaul raises on purpose."""


class ConfigurationError(BackhaulError):
    """Something was set up in a way that cannot work. The message is one sentence: thing, fact, remedy."""


class StoreUnavailable(BackhaulError):
    """The database cannot be reached or does not answer in time. Nothing is known of a commit under way."""


class BrokerUnavailable(BackhaulError):
    """The broker cannot be reached or does not confirm in time. A message may still arrive: repeat it as it was."""


class Unroutable(BrokerUnavailable):
    """The broker took messages that no queue wanted, and returned them."""

    def __init__(self, destinations: Sequence[str]) -> None:
        super().__init__(
            f"no queue is bound for {', '.join(sorted(set(destinations)))}: "
            "declare the topology with `backhaul topology apply`"
        )
        self.destinations = tuple(destinations)


class Rejected(BackhaulError):
    """A request that is refused. `problem` is what the client is told, on whatever transport it came."""

    def __init__(
        self,
        code: ProblemCode,
        detail: str | None = None,
        *,
        errors: Sequence[Fault] = (),
        task_id: str | None = None,
    ) -> None:
        super().__init__(detail or code.headline)
        self.code = code
        self.problem = Problem(
            type=TYPE_BASE + code,
            title=code.headline,
            status=code.status,
            code=code,
            detail=detail,
            errors=list(errors),
            task_id=task_id,
            retryable=code in (ProblemCode.UNAVAILABLE, ProblemCode.RATE_LIMITED, ProblemCode.NOT_FINISHED),
        )
