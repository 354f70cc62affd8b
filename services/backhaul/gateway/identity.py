"""Who calls."""

from collections.abc import Collection

from backhaul.core.apikeys import DEFAULT_TENANT, EVERY, ApiKey, Scope
from backhaul.core.errors import Rejected
from backhaul_contracts.problems import ProblemCode


class Identity:
    """What a caller may do, and with whose tasks. `key` is None for who came without one, where none is needed."""

    __slots__ = ("by_link", "key", "revoked", "scopes", "tenant")

    def __init__(
        self, tenant: str, scopes: Collection[Scope], key: ApiKey | None = None, *, by_link: bool = False
    ) -> None:
        self.tenant = tenant
        self.scopes = EVERY if Scope.ADMIN in scopes else frozenset(scopes)
        self.key = key
        self.by_link = by_link
        self.revoked = False
        """Set when its key is revoked: what was begun with it ends."""

    def __str__(self) -> str:
        return f"key {self.key.id} ({self.key.name})" if self.key is not None else "somebody without a key"

    def need(self, scope: Scope) -> None:
        """Return if it may do what takes `scope`. Raises `Rejected` (`forbidden`, or `unauthenticated` if its key has
        been revoked meanwhile)."""
        if self.revoked:
            raise Rejected(ProblemCode.UNAUTHENTICATED, "This API key is revoked.")
        if scope not in self.scopes:
            held = ", ".join(sorted(self.scopes))
            raise Rejected(ProblemCode.FORBIDDEN, f"This takes a key with the scope '{scope}'; this one has {held}.")


def anybody() -> Identity:
    """Who calls an API that is open."""
    return Identity(DEFAULT_TENANT, EVERY)
