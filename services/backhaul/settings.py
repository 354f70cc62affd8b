"""Settings: every knob with its meaning, default and special values. The one place that reads the environment,
and the files of secrets that it names."""

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from yarl import URL

from backhaul_contracts.wire import Duration

_KEY_LENGTH = 32
_RATE = re.compile(r"^([1-9]\d{0,8})\s*/\s*(s|m|h)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|kB|MB|GB)?$")
_FACTORS = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_size(value: object) -> object:
    """Bytes from a number or a text such as `64 KiB` or `1 MiB`. Raises `ValueError` for a text that is neither."""
    if not isinstance(value, str):
        return value
    match = _SIZE.match(value.strip())
    if match is None:
        raise ValueError("a size is a number of bytes or a text like '64 KiB' or '1 MiB'")
    return int(float(match[1]) * _FACTORS[match[2]])


_ENCODED = "in a password write %2F for /, %3F for ?, %23 for # and %40 for @"


def readable(url: SecretStr | None) -> SecretStr | None:
    """The URL. Raises `ValueError` for what is none, without showing what it holds."""
    try:
        URL("" if url is None else url.get_secret_value())
    except ValueError as error:
        raise ValueError(f"the URL cannot be read ({error}): {_ENCODED}") from None
    return whole(url)


def whole(url: SecretStr | None) -> SecretStr | None:
    """The URL. Raises `ValueError` for one in which a part of a password is taken for a host, and so shown."""
    scheme, _, rest = ("" if url is None else url.get_secret_value()).partition("://")
    behind_the_host = re.split(r"(?=[/?#])", rest, maxsplit=1)[1:]
    if not scheme.startswith("sqlite") and any("@" in part for part in behind_the_host):
        raise ValueError(f"the URL has an @ behind its host: {_ENCODED}")
    return url


def long_enough(key: SecretStr | None) -> SecretStr | None:
    """Raises `ValueError` for a key that may be guessed."""
    if key is not None and len(key.get_secret_value()) < _KEY_LENGTH:
        raise ValueError(
            f"it is too short: write {_KEY_LENGTH} or more random characters, as `openssl rand -hex 32` prints"
        )
    return key


Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in a second, a minute or an hour."""

    count: int
    seconds: int

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    def __str__(self) -> str:
        return f"{self.count} calls in {self.seconds} s"


def parse_rate(value: object) -> object:
    """A rate from a text such as `100/s`, `1000/m` or `5000/h`. Raises `ValueError` for a text that is none."""
    if not isinstance(value, str):
        return value
    match = _RATE.match(value.strip())
    if match is None:
        raise ValueError("a rate is a number of calls in a second, minute or hour: '100/s', '1000/m' or '5000/h'")
    return Rate(int(match[1]), _SECONDS[match[2]])


def parse_list(value: object) -> object:
    """Words from a text that has commas between them."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_list)]
CallRate = Annotated[Rate | None, NoDecode, BeforeValidator(parse_rate)]


def parse_schedule(value: object) -> object:
    """Lengths of time from a text such as `0s,5s,5m`."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


Schedule = Annotated[tuple[Duration, ...], NoDecode, BeforeValidator(parse_schedule), Field(min_length=1)]

DEFAULT_SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""That of Standard Webhooks: ten tries over three days."""


FILE_SUFFIX = "_FILE"


class SecretFiles(PydanticBaseSettingsSource):
    """Secrets that stand in files: `BACKHAUL_DATABASE_URL_FILE=/run/secrets/database_url`.

    Raises `SettingsError` for a file that cannot be read or is empty, and for a secret that is given both ways.
    """

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields.items()
        found = ((name, self.get_field_value(field, name)[0]) for name, field in fields if _is_secret(field))
        return {name: value for name, value in found if value is not None}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        name = f"{self.config.get('env_prefix', '')}{field_name}".upper()
        variable = f"{name}{FILE_SUFFIX}"
        path = os.environ.get(variable)
        if path and os.environ.get(name):
            raise SettingsError(f"both {name} and {variable} are set: unset one of them")
        return (_text_of(Path(path), variable) if path else None), field_name, False


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _text_of(path: Path, variable: str) -> str:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        fact = (getattr(error, "strerror", None) or "is not text").lower()
        raise SettingsError(f"{variable}: {path} cannot be read ({fact}): name a file that holds the secret") from error
    if not text:
        raise SettingsError(f"{variable}: {path} is empty: write the secret into it")
    return text


class Settings(BaseSettings):
    """Read from the environment, prefix `BACKHAUL_`, secrets also from files; passed on as a value."""

    model_config = SettingsConfigDict(
        env_prefix="BACKHAUL_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # it may be a secret
    )

    amqp_url: Annotated[SecretStr, AfterValidator(readable)] = SecretStr("amqp://guest:guest@127.0.0.1:5672/")
    """The RabbitMQ to use: `amqp://user:password@host:port/vhost`, or `amqps://…` for TLS."""

    database_url: Annotated[SecretStr, AfterValidator(whole)] = SecretStr(
        "postgresql://backhaul:backhaul@127.0.0.1:5432/backhaul"
    )
    """The store: `postgresql://user:password@host:port/name` or `sqlite:///path`."""

    rabbitmq_management_url: Annotated[SecretStr | None, AfterValidator(readable)] = None
    """RabbitMQ's management API, for policies and the doctor: `http://user:password@host:15672`; without a user it is
    that of `amqp_url`. None: it is not asked, and policies are left alone."""

    host: str = "127.0.0.1"
    """The address that HTTP is served on."""

    port: int | None = Field(default=None, ge=0, le=65535)
    """The port that HTTP is served on; None: 8080 for a gateway, no HTTP for ledger, notifier and worker; 0: any."""

    lease: Duration = timedelta(seconds=20)
    """How long a worker may be silent before its attempts are taken from it. At least three heartbeats."""

    heartbeat: Duration = timedelta(seconds=5)
    """How often a worker says that it is alive."""

    ledger_shards: int = Field(default=1, ge=1, le=256)
    """How many queues the reports are split over; each has one active reader."""

    retention: Duration = timedelta(hours=24)
    """How long a task with its result and events is kept after its end."""

    max_body: Size = 2**20
    """The largest body of a request, or of a submission over the broker (`ctx.call` and `ctx.submit` too), in bytes."""

    max_result: Size = 2**20
    """The largest result of a task, in bytes of JSON."""

    max_events: int = Field(default=100_000, ge=100)
    """The most events a task may have; an attempt that goes beyond fails."""

    max_backlog: int | None = Field(default=None, ge=1)
    """How many tasks may wait in one queue before submits to it over HTTP are refused; None: any number."""

    max_streams: int | None = Field(default=None, ge=1)
    """How many streams one key may have open at one gateway; None: any number."""

    rate_limit: CallRate = None
    """How many calls one key may make through one gateway, as `100/s`; None: any number."""

    cors_origins: Words = ()
    """The web pages that browsers let call this API: `https://app.example,https://admin.example`; `*` stands for all,
    but not on loopback."""

    secret_key: Annotated[SecretStr | None, AfterValidator(long_enough)] = None
    """What secrets in the store are encrypted with: 32 or more random characters, the same in every gateway, ledger and
    notifier. None: no secret can be kept, so there are no webhooks; an embedded platform makes its own."""

    webhook_allow_private: bool = False
    """Whether webhooks may go to private, loopback and link-local addresses. An embedded platform allows it."""

    webhook_schedule: Schedule = DEFAULT_SCHEDULE
    """How long a webhook waits before each of its tries: `0s,5s,5m`."""

    log_format: str | None = Field(default=None, pattern="^(console|json)$")
    """`console` or `json`; None: console on a terminal, else JSON lines."""

    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """The least severe log lines that are shown."""

    otlp_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("BACKHAUL_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    """Where traces are sent, by OTLP over HTTP: `http://127.0.0.1:4318`. None: nothing is traced. The standard name,
    `OTEL_EXPORTER_OTLP_ENDPOINT`, is read too."""

    drain_grace: Duration = timedelta(seconds=30)
    """How long running attempts may go on after SIGTERM before they are handed back."""

    url: str = "http://127.0.0.1:8080"
    """Where clients and commands find the gateway."""

    api_key: SecretStr | None = None
    """The key that clients and commands show to the gateway; None: none, which is enough on the loopback interface."""

    @property
    def opened_secret_key(self) -> str | None:
        """The secret key itself."""
        return None if self.secret_key is None else self.secret_key.get_secret_value()

    @model_validator(mode="after")
    def _lease_outlasts_heartbeats(self) -> "Settings":
        if self.lease < 3 * self.heartbeat:
            raise ValueError(
                "BACKHAUL_LEASE must be at least three times BACKHAUL_HEARTBEAT, or one lost beat takes work away"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls), dotenv_settings, file_secret_settings

    @classmethod
    def variables(cls) -> frozenset[str]:
        """Every variable of the environment that is read."""
        names = {
            f"{cls.model_config.get('env_prefix', '')}{name}".upper(): field for name, field in cls.model_fields.items()
        }
        return frozenset(names) | {f"{name}{FILE_SUFFIX}" for name, field in names.items() if _is_secret(field)}
