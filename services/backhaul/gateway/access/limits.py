"""Limits on what one key may ask of one gateway: how many calls in a time, and how many open streams."""

from contextlib import AbstractContextManager
from math import ceil

from backhaul.core.clock import Clock, to_ms
from backhaul.core.errors import Rejected
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.http.replies import Header, header, retry_after
from backhaul.settings import Rate
from backhaul_contracts.problems import ProblemCode

_STREAM_PATIENCE = 5
_FEW = 1_000
"""Meters that are worth no look at whether they are still needed."""


class TooMany(Rejected):
    """Refused now, and welcome later (`rate_limited`): `headers` tell when."""

    def __init__(self, detail: str, headers: list[Header]) -> None:
        super().__init__(ProblemCode.RATE_LIMITED, detail)
        self.headers = headers


class Meter:
    """What one key has used up: a bucket that fills evenly, and streams that are open, each as a block of `with`."""

    __slots__ = ("at_ms", "left", "streams")

    def __init__(self) -> None:
        self.left: float | None = None
        """How many calls are left; None before the first."""
        self.at_ms = 0
        self.streams = 0

    def __enter__(self) -> None:
        self.streams += 1

    def __exit__(self, *_: object) -> None:
        self.streams -= 1


class Limits:
    """None: no limit. Whoever follows links, or comes without a key, is counted by tenant."""

    def __init__(self, rate: Rate | None, max_streams: int | None, clock: Clock) -> None:
        self._rate = rate
        self._max_streams = max_streams
        self._clock = clock
        self._meters: dict[str, Meter] = {}
        self._enough = _FEW
        """At how many meters those are looked for that say no more than a new one would."""

    def spend(self, identity: Identity) -> list[Header]:
        """Count a call. Returns what its answer tells of the limit; raises `TooMany` if there is none left.

        The headers are those of draft-ietf-httpapi-ratelimit-headers-11: `t` is when all of the quota is there again.
        """
        rate = self._rate
        if rate is None:
            return []
        meter = self._meter(identity)
        left = self._refilled(meter, rate)
        if left < 1:
            wait = (1 - left) / rate.per_second
            detail = f"This key may make {rate} through one gateway: it can again in {wait:.3g} s."
            raise TooMany(detail, [retry_after(max(1, ceil(wait))), *_told(rate, left)])
        meter.left = left - 1
        return _told(rate, meter.left)

    def check_stream(self, identity: Identity) -> None:
        """Raises `TooMany` if one more stream would be too many."""
        if self._max_streams is not None and self._meter(identity).streams >= self._max_streams:
            detail = f"This key has {self._max_streams} streams open at this gateway, and may have no more: close some."
            raise TooMany(detail, [retry_after(_STREAM_PATIENCE)])

    def streaming(self, identity: Identity) -> AbstractContextManager[None]:
        """Counts a stream for as long as the block lasts. Raises as `check_stream` does."""
        self.check_stream(identity)
        return self._meter(identity)

    def _meter(self, identity: Identity) -> Meter:
        name = identity.tenant if identity.key is None else identity.key.id
        meter = self._meters.get(name)
        if meter is None:
            if len(self._meters) >= self._enough:
                self._sweep()
            meter = self._meters[name] = Meter()
        return meter

    def _sweep(self) -> None:
        """Forget the meters that are as good as new. The next sweep comes when there are twice as many as are left, so
        that each new meter pays for a look at two."""
        self._meters = {name: meter for name, meter in self._meters.items() if self._is_used(meter)}
        self._enough = max(_FEW, 2 * len(self._meters))

    def _is_used(self, meter: Meter) -> bool:
        return meter.streams > 0 or (self._rate is not None and self._refilled(meter, self._rate) < self._rate.count)

    def _refilled(self, meter: Meter, rate: Rate) -> float:
        now_ms = to_ms(self._clock.now())
        left = float(rate.count) if meter.left is None else meter.left
        left = min(rate.count, left + max(0, now_ms - meter.at_ms) / 1000 * rate.per_second)
        meter.left, meter.at_ms = left, now_ms
        return left


def _told(rate: Rate, left: float) -> list[Header]:
    whole = ceil((rate.count - left) / rate.per_second)
    return [
        header(b"ratelimit", f'"calls";r={int(left)};t={whole}'),
        header(b"ratelimit-policy", f'"calls";q={rate.count};w={rate.seconds}'),
    ]
