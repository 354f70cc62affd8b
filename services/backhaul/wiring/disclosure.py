"""Settings as they may be shown: without their secrets."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from pydantic import SecretStr
from yarl import URL

from backhaul.settings import Settings

SERVERS = ("amqp_url", "database_url")
_HIDDEN = "***"


def configured(settings: Settings, *, servers: Collection[str] = SERVERS) -> Mapping[str, str]:
    """What is set, and where those of the `SERVERS` are that everything hangs on, by the names of the variables."""
    shown = [name for name in type(settings).model_fields if name in servers or name in settings.model_fields_set]
    return {f"BACKHAUL_{name.upper()}": disclosed(name, getattr(settings, name)) for name in shown}


def disclosed(name: str, value: object) -> str:
    """The value of a setting. Of a secret nothing is shown, but of a URL all except its password and its options."""
    if isinstance(value, SecretStr):
        return without_password(value.get_secret_value()) if name.endswith("_url") else _HIDDEN
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, tuple):
        return ",".join(disclosed(name, each) for each in value)
    if isinstance(value, str) and "://" in value:
        return without_password(value)
    return "" if value is None else str(value)


def without_password(text: str) -> str:
    """A URL as it may be shown."""
    try:
        url = URL(text).with_query(None).with_fragment(None)
        return str(url.with_password(_HIDDEN) if url.password is not None else url)
    except ValueError:
        return _HIDDEN
