"""The trail: who did what, one line in the log for each deed that was done with a key. Never a key, never a payload."""

import logging

from backhaul.gateway.access.identity import Identity

_log = logging.getLogger("backhaul.audit")


def note(deed: str, identity: Identity, subject: str | None = None) -> None:
    """Log a deed and what it was done to. As JSON the line has `deed`, `tenant`, `key_id`, `key_name` and `subject`."""
    key = identity.key
    if key is None or not _log.isEnabledFor(logging.INFO):
        return
    facts = {"deed": deed, "tenant": identity.tenant, "key_id": key.id, "key_name": key.name, "subject": subject}
    _log.info(
        "%s by %s of tenant %s%s",
        deed,
        identity,
        identity.tenant,
        "" if subject is None else f": {subject}",
        extra={"facts": facts},
    )
