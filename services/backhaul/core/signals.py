"""Signals: what a handler raises on purpose to say how its attempt ends. Neither is an error of the handler."""

from datetime import timedelta

from backhaul_contracts.wire import parse_duration

MAX_CODE = 100


class Signal(Exception):
    """The base of the signals. Caught by the worker; outside of a handler it means nothing."""


class Retry(Signal):
    """This attempt cannot succeed now: try again later. It counts as a failure, up to the policy's `max_attempts`.

    `after` is the wait before the next attempt (seconds, `"30s"`, `"10m"`, a `timedelta`); without it the policy's
    back-off decides. `reason` is what people see in the task's `error`.
    """

    def __init__(self, after: timedelta | float | str | None = None, reason: str | None = None) -> None:
        super().__init__(reason or "the handler asked for another attempt")
        self.after = None if after is None else parse_duration(after)
        self.reason = reason


class Fail(Signal):
    """The task has failed for good, whatever the policy says.

    `code` becomes the `code` of the task's `error`: a short word of the service's own (`unsupported_language`).
    """

    def __init__(self, code: str, detail: str | None = None) -> None:
        if not code or len(code) > MAX_CODE:
            raise ValueError(f"Fail needs a code of 1 to {MAX_CODE} characters")
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
