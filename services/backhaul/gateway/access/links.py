"""Links to a task's stream that need no key: a browser's `EventSource` cannot send one."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest

from backhaul.core.clock import Clock, to_ms
from backhaul.core.sealing import derived_key
from backhaul.core.task.record import Record
from backhaul.gateway.access.identity import Identity

_PURPOSE = "backhaul stream links, version 3"
_STEP_SECONDS = 300
_STEP_MS = _STEP_SECONDS * 1000
_STEPS = 4
_EXPIRY, _SEAL = 4, 16


class StreamLinks:
    """Makes and reads the tokens of such links: for the events of one task, to be read only, for 15 to 20 minutes, and
    no longer than the key that read the task is valid.

    Gateways with the same secret read each other's. All links of a task that a key is given within five minutes are the
    same, so that the task itself reads the same. A token is expiry (seconds, 4 bytes), keyed BLAKE2b (RFC 7693, 16
    bytes), and the id of the key.
    """

    def __init__(self, secret_key: str, clock: Clock) -> None:
        self._key = derived_key(secret_key, _PURPOSE)
        self._clock = clock

    def token(self, record: Record, issuer: Identity) -> str | None:
        """What opens the stream of this task; None if it is not for `issuer` to give."""
        if not issuer.may_link:
            return None
        key_id = "" if issuer.key is None else issuer.key.id
        expiry = ((to_ms(self._clock.now()) // _STEP_MS + _STEPS) * _STEP_SECONDS).to_bytes(_EXPIRY)
        sealed = self._seal(expiry, record.id, key_id)
        return urlsafe_b64encode(expiry + sealed + key_id.encode()).rstrip(b"=").decode()

    def key_id(self, task_id: str, token: str) -> str | None:
        """The key that was given this token, empty for nobody's; None if it does not open this task, or no longer."""
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            expiry, sealed, key_id = raw[:_EXPIRY], raw[_EXPIRY : _EXPIRY + _SEAL], raw[_EXPIRY + _SEAL :].decode()
        except (binascii.Error, ValueError):
            return None
        if not compare_digest(sealed, self._seal(expiry, task_id, key_id)):
            return None
        return key_id if int.from_bytes(expiry) * 1000 > to_ms(self._clock.now()) else None

    def _seal(self, expiry: bytes, task_id: str, key_id: str) -> bytes:
        # Every task that is shown gets one: HMAC would let go of the interpreter for its microsecond, and wait for it.
        text = b"%b %b %b" % (expiry, task_id.encode(), key_id.encode())
        return blake2b(text, digest_size=_SEAL, key=self._key).digest()
