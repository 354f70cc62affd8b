"""Links to a task's stream that need no key: a browser's `EventSource` cannot send one."""

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from backhaul.core.clock import Clock, to_ms
from backhaul.core.record import Record
from backhaul.core.sealing import derived_key

_PURPOSE = "backhaul stream links, version 1"
_STEP_SECONDS = 300
_STEP_MS = _STEP_SECONDS * 1000
_STEPS = 4
_EXPIRY, _SEAL = 4, 16


class StreamLinks:
    """Makes and reads the tokens of such links: for the events of one task, to be read only, for 15 to 20 minutes.

    Gateways with the same secret read each other's. All links of a task that are made within five minutes are the same,
    so that the task itself reads the same. A token is expiry (seconds, 4 bytes), HMAC-SHA256 (16 bytes), and tenant.
    """

    def __init__(self, secret_key: str, clock: Clock) -> None:
        self._key = derived_key(secret_key, _PURPOSE)
        self._clock = clock

    def token(self, record: Record) -> str:
        """What opens the stream of this task."""
        expiry = ((to_ms(self._clock.now()) // _STEP_MS + _STEPS) * _STEP_SECONDS).to_bytes(_EXPIRY)
        sealed = self._seal(expiry, record.id, record.tenant)
        return urlsafe_b64encode(expiry + sealed + record.tenant.encode()).rstrip(b"=").decode()

    def tenant(self, task_id: str, token: str) -> str | None:
        """The tenant whose task this token opens; None if it opens none, not this one, or no longer."""
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            expiry, sealed, tenant = raw[:_EXPIRY], raw[_EXPIRY : _EXPIRY + _SEAL], raw[_EXPIRY + _SEAL :].decode()
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(sealed, self._seal(expiry, task_id, tenant)):
            return None
        return tenant if int.from_bytes(expiry) * 1000 > to_ms(self._clock.now()) else None

    def _seal(self, expiry: bytes, task_id: str, tenant: str) -> bytes:
        return hmac.digest(self._key, b"%b %b %b" % (expiry, task_id.encode(), tenant.encode()), "sha256")[:_SEAL]
