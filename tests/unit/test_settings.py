"""Settings that are more than a word."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from backhaul.settings import Rate, Settings


def test_a_rate_is_read_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKHAUL_RATE_LIMIT", "100/s")
    monkeypatch.setenv("BACKHAUL_CORS_ORIGINS", "https://a.example, https://b.example")

    settings = Settings()

    assert settings.rate_limit == Rate(100, 1)
    assert settings.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize("text", ["100", "0/s", "ten/s", "100/d", "1.5/s"])
def test_what_is_no_rate_is_told_how_one_is_written(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BACKHAUL_RATE_LIMIT", text)

    with pytest.raises(ValidationError, match="'100/s'"):
        Settings()


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32 + "\n")
    (tmp_path / "url").write_text("postgresql://backhaul:word@db/backhaul\n")
    (tmp_path / "management").write_text("http://mq:15672\n")
    monkeypatch.delenv("BACKHAUL_DATABASE_URL", raising=False)
    monkeypatch.setenv("BACKHAUL_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("BACKHAUL_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("BACKHAUL_RABBITMQ_MANAGEMENT_URL_FILE", str(tmp_path / "management"))

    settings = Settings()

    assert settings.opened_secret_key == "k" * 32
    assert settings.database_url.get_secret_value() == "postgresql://backhaul:word@db/backhaul"
    assert "database_url" in settings.model_fields_set
    assert settings.rabbitmq_management_url is not None


def test_a_secret_given_both_ways_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKHAUL_API_KEY", "bh_here")
    monkeypatch.setenv("BACKHAUL_API_KEY_FILE", str(tmp_path / "key"))

    with pytest.raises(SettingsError, match="both BACKHAUL_API_KEY and BACKHAUL_API_KEY_FILE are set"):
        Settings()


def test_a_file_without_a_secret_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.write_text("\n")

    monkeypatch.setenv("BACKHAUL_AMQP_URL_FILE", str(missing))
    with pytest.raises(SettingsError, match=r"BACKHAUL_AMQP_URL_FILE: .*missing cannot be read \(no such file"):
        Settings()
    monkeypatch.setenv("BACKHAUL_AMQP_URL_FILE", str(empty))
    with pytest.raises(SettingsError, match="is empty: write the secret into it"):
        Settings()


def test_the_defaults_are_those_that_are_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BACKHAUL_")]:
        monkeypatch.delenv(name)

    settings = Settings()

    assert (settings.host, settings.port, settings.url) == ("127.0.0.1", None, "http://127.0.0.1:8080")
    assert (settings.lease, settings.heartbeat) == (timedelta(seconds=20), timedelta(seconds=5))
    assert (settings.ledger_shards, settings.retention) == (1, timedelta(hours=24))
    assert (settings.max_body, settings.max_result, settings.max_events) == (1024**2, 1024**2, 100_000)
    assert (settings.max_backlog, settings.rate_limit, settings.max_streams) == (None, None, None)
    assert (settings.webhook_allow_private, settings.cors_origins, settings.secret_key) == (False, (), None)
    hours = (2, 5, 10, 14, 20, 24)
    assert settings.webhook_schedule == (
        timedelta(0),
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        *(timedelta(hours=length) for length in hours),
    )


@pytest.mark.parametrize(("text", "size"), [("64 KiB", 65_536), ("1 MiB", 1_048_576), ("2MB", 2_000_000), ("512", 512)])
def test_a_size_is_read_as_it_is_written(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("BACKHAUL_MAX_BODY", text)

    assert Settings().max_body == size


@pytest.mark.parametrize("name", ["BACKHAUL_AMQP_URL", "BACKHAUL_RABBITMQ_MANAGEMENT_URL"])
def test_a_url_that_cannot_be_read_is_refused_without_being_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "amqp://someone:pa/55word@host/")

    with pytest.raises(ValidationError, match=r"the URL cannot be read .*: in a password write %2F for /") as raised:
        Settings()

    assert "55word" not in str(raised.value)


def test_a_key_that_may_be_guessed_is_refused_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKHAUL_SECRET_KEY", "short")

    with pytest.raises(ValidationError, match="it is too short: write 32 or more random characters, as `openssl"):
        Settings()


@pytest.mark.parametrize("url", ["x://me:p@ss/word@host/name", "x://me:p@ss#word@host/", "x://me:p@ss?word@host"])
@pytest.mark.parametrize("name", ["amqp_url", "database_url", "rabbitmq_management_url"])
def test_a_password_that_would_be_taken_for_a_host_is_refused_and_not_shown(name: str, url: str) -> None:
    with pytest.raises(ValidationError, match="has an @ behind its host: in a password write %2F for /") as refused:
        Settings.model_validate({name: url})

    assert "word" not in str(refused.value).replace("password", "")


@pytest.mark.parametrize(
    "url", ["postgresql://me:p%40ss%2F@db/name", "postgresql:///name?host=/run/postgresql", "sqlite:////data/a@b.db"]
)
def test_urls_with_encoded_passwords_sockets_and_files_are_taken(url: str) -> None:
    assert Settings.model_validate({"database_url": url}).database_url.get_secret_value() == url
