"""What a look at the database finds."""

from datetime import timedelta
from typing import TYPE_CHECKING

from backhaul.core.errors import BackhaulError
from backhaul.core.findings import Finding, fault, note, ok, warning
from backhaul.settings import Settings

if TYPE_CHECKING:
    from backhaul.store import Moment, StoreFacts

_OLDEST = 13
_POOL = 10
"""How many connections a gateway or a ledger opens."""
_APART = timedelta(seconds=2)


async def examine(settings: Settings, role: str | None) -> list[Finding]:
    """Findings on the database, its schema, its clock, and on who may call the API of a gateway that stands on it."""
    from backhaul.store import inspect_store

    try:
        facts = await inspect_store(settings.database_url.get_secret_value())
    except BackhaulError as error:
        return [fault("database", str(error))]
    findings = [_version(facts), *_soundness(facts), _schema(facts)]
    if facts.moment is not None:
        findings.append(_clock(facts.moment))
    if facts.misfit is None and facts.writable and role in (None, "server", "gateway"):
        findings += await _exposure(settings)
    return findings


def _version(facts: "StoreFacts") -> Finding:
    fact = f"{facts.product} {facts.version} at {facts.name}"
    if facts.product == "SQLite":
        return note("database", fact, "for one process only: use postgresql:// for a deployment")
    if facts.major < _OLDEST:
        return warning("database", fact, f"nobody has tried one so old: bring it to {_OLDEST} or newer")
    took = facts.moment.took.total_seconds() * 1000 if facts.moment is not None else 0
    return ok("database", f"{fact}, answers in {took:.1f} ms")


def _soundness(facts: "StoreFacts") -> list[Finding]:
    """What may lose tasks, or refuses them."""
    found: list[Finding] = []
    if facts.standby:
        found.append(fault("database", "it is a standby and takes no writes", "let the URL lead to the primary"))
    elif not facts.writable:
        found.append(
            fault("database", "transactions of this user are read-only", "set default_transaction_read_only off for it")
        )
    found += [
        warning("database", f"{name} is off: a crash may lose tasks that were accepted", f"set {name} on")
        for name in ("fsync", "full_page_writes", "synchronous_commit")
        if facts.settings.get(name) == "off"
    ]
    if facts.free_connections is not None and facts.free_connections < _POOL:
        fact = f"only {facts.free_connections} more connections are free, and each gateway and ledger opens {_POOL}"
        remedy = "raise max_connections, or the limit of this user or database"
        found.append(warning("database", fact, remedy))
    return found


def _schema(facts: "StoreFacts") -> Finding:
    return fault("schema", facts.misfit) if facts.misfit else ok("schema", "is what this version needs")


def _clock(moment: "Moment") -> Finding:
    apart = abs(moment.ahead)
    said = (
        f"the database's clock is {apart.total_seconds():.1f} s {'ahead' if moment.ahead > timedelta(0) else 'behind'}"
    )
    if apart - moment.took / 2 > _APART:
        return warning("clock", said, "let an NTP service keep the clocks of all machines")
    return ok("clock", "that of the database agrees with this machine's")


async def _exposure(settings: Settings) -> list[Finding]:
    from backhaul.core.clock import SystemClock
    from backhaul.gateway import is_loopback
    from backhaul.wiring.adapters import open_store

    store = open_store(settings, SystemClock())
    try:
        await store.start()
        valid = [key for key in await store.api_keys() if key.revoked_at is None]
        made = bool(valid or await store.api_keys())
    except BackhaulError as error:
        return [fault("API", f"the keys cannot be read: {error}")]
    finally:
        await store.stop()
    if valid:
        return [ok("API", f"{len(valid)} API key{'s' if len(valid) > 1 else ''} may call it")]
    if not is_loopback(settings.host):
        remedy = "make one with `backhaul keys create --name NAME`, or serve on 127.0.0.1"
        return [fault("API", f"a gateway refuses to serve {settings.host} while there is no API key", remedy)]
    if made:
        return [note("API", "every key is revoked, so nobody may call it", "`backhaul keys create` makes one")]
    return [note("API", "open to every program on this machine, since there is no API key")]
