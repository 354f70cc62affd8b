"""Secrets that must be read again, so that they cannot be hashed: sealed with a key that is not in the store."""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backhaul.core.errors import ConfigurationError

_KEY_BYTES = 32
_WEBHOOKS = "backhaul webhook secrets, version 1"


def derived_key(secret_key: str, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose alone (HKDF, RFC 5869): what one use gives away is of no use to another."""
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose.encode()).derive(secret_key.encode())


class Vault:
    """Seals and opens short texts. What is sealed twice differs, and what was changed is not opened."""

    def __init__(self, secret_key: str) -> None:
        self._fernet = Fernet(urlsafe_b64encode(derived_key(secret_key, _WEBHOOKS)))

    def seal(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret. Raises `ConfigurationError` if it was sealed under another key."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise ConfigurationError(
                "a secret in the store was encrypted under another key: set BACKHAUL_SECRET_KEY to the one that this "
                "deployment has had"
            ) from error
