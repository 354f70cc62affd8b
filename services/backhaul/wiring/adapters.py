"""Which adapter stands behind a port: chosen by the URL, here and nowhere else."""

import random

from backhaul.core.clock import Clock
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.task.changes import NOTICE
from backhaul.core.task.transitions import Rules
from backhaul.settings import Settings

SHARE = "set BACKHAUL_DATABASE_URL to a postgresql:// URL, or run `backhaul dev`"
_PARTIAL = ("gateway", "ledger", "notifier")


def shared_sqlite(settings: Settings, role: str) -> bool:
    """Whether a role that is one of several stands on a database that is for one process."""
    return role in _PARTIAL and settings.database_url.get_secret_value().startswith("sqlite")


def open_store(settings: Settings, clock: Clock, *, url: str | None = None) -> Store:
    """The store at `url` (default: the configured one), not yet started.

    Raises `ConfigurationError` for a URL of another database than PostgreSQL and SQLite.
    """
    from backhaul.store import open_store as open_by_url

    rules = Rules(
        retention=settings.retention,
        draw=random.random,
        max_events=settings.max_events,
        lease=settings.lease,
        notice=NOTICE,
    )
    return open_by_url(url or settings.database_url.get_secret_value(), clock=clock, rules=rules)


def open_broker(settings: Settings, name: str, *, feels: str = "") -> Broker:
    """The configured RabbitMQ, not yet started. `name` is what its operators see, `feels` an exchange that the user may
    write to, if that is not the default one."""
    from backhaul.broker.rabbitmq import RabbitBroker

    return RabbitBroker(settings.amqp_url.get_secret_value(), name=name, feels=feels)
