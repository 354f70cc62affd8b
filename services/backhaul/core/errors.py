"""The errors that Backhaul raises.

BackhaulError
├── ConfigurationError      a setting, a handler or a command that cannot work; says which, why and what to do
├── StoreUnavailable        the database cannot be reached or does not answer in time
├── BrokerUnavailable       the broker cannot be reached, or does not confirm in time
│   ├── TurnedAway          it is there, and lets us in no more until somebody changes something
│   ├── Unroutable          confirmed, but no queue wanted it
│   └── Refused             a queue is full, and takes no more
├── Rejected                a request that is refused, with its problem
├── CallFailed              a task that a handler called for has ended without success
└── TooManyCalls            so many handlers of a worker wait in their threads that no more may
"""

from collections.abc import Sequence

from backhaul_contracts.failures import Failure
from backhaul_contracts.problems import TYPE_BASE, Fault, Problem, ProblemCode


class BackhaulError(Exception):
    """The base of all errors that Backhaul raises on purpose."""


class ConfigurationError(BackhaulError):
    """Something was set up in a way that cannot work. The message is one sentence: thing, fact, remedy."""


class StoreUnavailable(BackhaulError):
    """The database cannot be reached or does not answer in time. Nothing is known of a commit under way."""


class BrokerUnavailable(BackhaulError):
    """The broker cannot be reached or does not confirm in time. A message may still arrive: repeat it as it was."""


class TurnedAway(BrokerUnavailable):
    """The broker is there and does not let us in: a wrong password, vhost or certificate. Waiting mends none of it."""


class Unroutable(BrokerUnavailable):
    """The broker took messages that no queue wanted, and returned them."""

    def __init__(self, destinations: Sequence[str]) -> None:
        super().__init__(
            f"no queue is bound for {', '.join(sorted(set(destinations)))}: "
            "declare the topology with `backhaul topology apply`"
        )
        self.destinations = tuple(destinations)


class Refused(BrokerUnavailable):
    """The broker is there and did not take every message: a queue is at its limit. The others have arrived."""


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


class CallFailed(BackhaulError):
    """A task that `ctx.call` waited for has ended without success.

    `task_id` and `kind` name it, `status` is `failed`, `cancelled` or `expired`, and `error` says why it failed.
    """

    def __init__(self, task_id: str, kind: str, status: str, error: Failure | None = None) -> None:
        said = [] if error is None else [error.code, error.title, *([error.detail] if error.detail else [])]
        super().__init__(": ".join([f"the call of {kind} ({task_id}) has {_ENDS.get(status, status)}", *said]))
        self.task_id = task_id
        self.kind = kind
        self.status = status
        self.error = error


_ENDS = {"cancelled": "been cancelled"}


class TooManyCalls(BackhaulError):
    """A blocked thread or process is no capacity, so others stand in for it: up to a limit, which this one names."""
