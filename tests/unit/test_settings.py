"""Settings that are more than a word."""

import pytest
from pydantic import ValidationError

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
