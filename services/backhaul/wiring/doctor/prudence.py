"""Settings that ask for trouble, each by itself or together. Nothing is looked at but the settings."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches

from yarl import URL

from backhaul.core.findings import Finding, fault, note, ok, warning
from backhaul.settings import Settings
from backhaul.wiring.adapters import SHARE, shared_sqlite

_PREFIX = "BACKHAUL_"
_SHORTEST_LEASE = timedelta(seconds=10)
"""A broken connection to RabbitMQ is noticed within two AMQP heartbeats of 5 s."""
_LONGEST_LEASE = timedelta(minutes=5)
_SHORTEST_RETENTION = timedelta(minutes=10)
_SERVING = (None, "server", "gateway")


def examine(settings: Settings, role: str | None, names: Mapping[str, str]) -> list[Finding]:
    """`names`: the environment."""
    found = [*_misspelt(names)]
    for look in _LOOKS:
        found += look(settings, role)
    return found or [ok("settings", "nothing in them asks for trouble")]


def _misspelt(names: Mapping[str, str]) -> Iterator[Finding]:
    known = Settings.variables()
    for name in sorted(names):
        if name.startswith(_PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.85)
            if near:
                yield warning("settings", f"{name} is no setting, and is ignored", f"did you mean {near[0]}?")


def _beyond_loopback(settings: Settings, role: str | None) -> Iterator[Finding]:
    from backhaul.gateway import is_loopback

    if role not in _SERVING or is_loopback(settings.host):
        return
    if settings.secret_key is None:
        remedy = "set it to what `openssl rand -hex 32` prints, the same in all gateways"
        yield fault("settings", f"a gateway refuses to serve {settings.host} without BACKHAUL_SECRET_KEY", remedy)
    if settings.webhook_allow_private:
        fact = "BACKHAUL_WEBHOOK_ALLOW_PRIVATE lets whoever has an admin key reach what this network hides"
        yield warning("settings", fact, "unset it, or be sure of who has these keys")
    if settings.rate_limit is None and settings.max_backlog is None:
        yield note("settings", "nothing limits what one key may submit", "BACKHAUL_RATE_LIMIT and _MAX_BACKLOG do")


def _on_loopback(settings: Settings, role: str | None) -> Iterator[Finding]:
    from backhaul.gateway import is_loopback

    if role in _SERVING and is_loopback(settings.host):
        if settings.secret_key is None:
            yield note("settings", "webhooks are refused: BACKHAUL_SECRET_KEY is not set")
        if "*" in settings.cors_origins:
            yield warning("settings", "BACKHAUL_CORS_ORIGINS=* does not count on loopback", "name the pages")


def _notifying(settings: Settings, role: str | None) -> Iterator[Finding]:
    if role == "notifier" and settings.secret_key is None:
        remedy = "set it to what the gateways have"
        yield fault("settings", "a notifier cannot read webhooks' secrets without BACKHAUL_SECRET_KEY", remedy)


def _lease(settings: Settings, role: str | None) -> Iterator[Finding]:
    if settings.lease < _SHORTEST_LEASE:
        fact = "the lease is shorter than it takes to notice a broken connection (10 s): work would be lost to it"
        yield warning("settings", fact, "set BACKHAUL_LEASE to 20s")
    if settings.lease > _LONGEST_LEASE:
        fact = f"a dead worker's tasks wait for {settings.lease} before they start anew"
        yield note("settings", fact, "BACKHAUL_LEASE is 20s by default")


def _keeping(settings: Settings, role: str | None) -> Iterator[Finding]:
    if settings.retention < _SHORTEST_RETENTION:
        fact = f"results are deleted {settings.retention.total_seconds():g} s after the end of their task"
        yield warning("settings", fact, "set BACKHAUL_RETENTION to as long as clients may be away")
    if settings.max_result > 8 * settings.max_body:
        fact = "BACKHAUL_MAX_RESULT is far beyond BACKHAUL_MAX_BODY: no task could be given such a result as its input"
        yield note("settings", fact)


def _plain_links(settings: Settings, role: str | None) -> Iterator[Finding]:
    from backhaul.gateway import is_loopback

    url = URL(settings.amqp_url.get_secret_value())
    if role != "notifier" and url.host and not is_loopback(url.host):
        if url.user in (None, "guest"):
            remedy = "make a user for each role (docs/production.md)"
            yield warning("settings", "guest may log in on RabbitMQ's own machine only", remedy)
        if url.scheme == "amqp":
            yield note("settings", f"what is said to RabbitMQ at {url.host} is not encrypted", "amqps:// does it")


def _one_process(settings: Settings, role: str | None) -> Iterator[Finding]:
    if role is not None and shared_sqlite(settings, role):
        yield warning("settings", "SQLite is for one process, and this role is one of several", SHARE)


_LOOKS: tuple[Callable[[Settings, str | None], Iterator[Finding]], ...] = (
    _beyond_loopback,
    _on_loopback,
    _notifying,
    _lease,
    _keeping,
    _plain_links,
    _one_process,
)
