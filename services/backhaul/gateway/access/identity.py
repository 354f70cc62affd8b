"""Who calls."""

from collections.abc import Collection

from backhaul.core.apikeys import DEFAULT_TENANT, EVERY, ApiKey, Scope
from backhaul.core.errors import Rejected
from backhaul_contracts.problems import ProblemCode


class Identity:
    """What a caller may do, and with whose tasks. `key` is None for who came without one: where none is needed, or by
    a link, which `issuer` has read."""

    __slots__ = ("_revoked", "issuer", "key", "scopes", "tenant")

    def __init__(
        self, tenant: str, scopes: Collection[Scope], key: ApiKey | None = None, *, issuer: "Identity | None" = None
    ) -> None:
        self.tenant = tenant
        self.scopes = EVERY if Scope.ADMIN in scopes else frozenset(scopes)
        self.key = key
        self.issuer = issuer
        self._revoked = False

    @property
    def revoked(self) -> bool:
        """Whether it may do nothing any more: what was begun by it ends."""
        return self._revoked or (self.issuer is not None and self.issuer.revoked)

    def revoke(self) -> None:
        """Its key is revoked, or one is needed from now on."""
        self._revoked = True

    def __str__(self) -> str:
        return f"key {self.key.id} ({self.key.name})" if self.key is not None else "somebody without a key"

    def need(self, scope: Scope) -> None:
        """Return if it may do what takes `scope`. Raises `Rejected` (`forbidden`, or as `check` does)."""
        self.check()
        if scope not in self.scopes:
            held = ", ".join(sorted(self.scopes))
            raise Rejected(ProblemCode.FORBIDDEN, f"This takes a key with the scope '{scope}'; this one has {held}.")

    def check(self) -> None:
        """Return unless it has been revoked meanwhile. Raises `Rejected` (`unauthenticated`)."""
        if self.revoked:
            open_until_now = self.key is None and self.issuer is None
            detail = "From now on an API key is needed." if open_until_now else "This API key is revoked."
            raise Rejected(ProblemCode.UNAUTHENTICATED, detail)

    @property
    def may_link(self) -> bool:
        """Whether it may give others a link to what it is shown: not if it came by one, which would last by being
        read, nor if it may only cancel."""
        return self.issuer is None and not self.scopes.isdisjoint({Scope.READ, Scope.SUBMIT})


def anybody() -> Identity:
    """Who calls an API that is open."""
    return Identity(DEFAULT_TENANT, EVERY)
