"""Access: from what a call shows to who calls, and whether it may."""

from backhaul.core.apikeys import Scope
from backhaul.core.errors import Rejected
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.keyring import Keyring
from backhaul.gateway.access.links import StreamLinks
from backhaul_contracts.problems import ProblemCode

_SCHEME = "bearer"


class Access:
    """`open_at_first`: without any key ever made, everybody may do everything, as `anybody`."""

    def __init__(self, keyring: Keyring, links: StreamLinks, *, open_at_first: bool) -> None:
        self._keyring = keyring
        self._links = links
        self._open_at_first = open_at_first

    async def identify(self, authorization: str | None) -> Identity:
        """Who shows this header (RFC 6750 §2.1). Raises `Rejected` (`unauthenticated`), and `StoreUnavailable` if
        nobody knows."""
        bare = _bare_key(authorization)
        found = None if bare is None else await self._keyring.find(bare)
        if found is not None:
            return found
        if (somebody := await self._without_key()) is not None:
            return somebody
        raise _unauthenticated(authorization, bare)

    async def by_link(self, task_id: str, token: str) -> Identity:
        """Who follows a link to the stream of a task. Raises as `identify` does."""
        key_id = self._links.key_id(task_id, token)
        issuer = await self._keyring.issuer(key_id) if key_id else None
        if issuer is not None:
            return Identity(issuer.tenant, {Scope.READ}, issuer=issuer)
        if (somebody := await self._without_key()) is not None:
            return somebody
        raise Rejected(
            ProblemCode.UNAUTHENTICATED,
            "The link to this stream is not valid, or no longer: read the task again for a new one.",
        )

    async def _without_key(self) -> Identity | None:
        return await self._keyring.anybody() if self._open_at_first else None


def _bare_key(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, bare = authorization.partition(" ")
    return bare.strip() if scheme.lower() == _SCHEME else None


def _unauthenticated(authorization: str | None, bare: str | None) -> Rejected:
    if bare is not None:
        return Rejected(ProblemCode.UNAUTHENTICATED, "This API key is not known here, or it is revoked.")
    shown = "No API key was sent" if authorization is None else "The header is not of the form that is expected"
    return Rejected(ProblemCode.UNAUTHENTICATED, f"{shown}: send `Authorization: Bearer bh_…`.")
