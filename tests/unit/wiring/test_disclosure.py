"""Settings as they may be shown."""

import pytest

from backhaul.core.findings import Finding, Severity
from backhaul.settings import Settings
from backhaul.wiring.disclosure import configured
from backhaul.wiring.doctor import examination


@pytest.mark.parametrize("name", ["otlp_endpoint", "database_url", "amqp_url"])
def test_of_a_url_the_password_is_not_shown(name: str) -> None:
    scheme = {"otlp_endpoint": "http", "database_url": "postgresql", "amqp_url": "amqp"}[name]
    settings = Settings.model_validate({name: f"{scheme}://somebody:hunter2@there:4318/"})

    shown = configured(settings)[f"BACKHAUL_{name.upper()}"]

    assert shown.startswith(f"{scheme}://somebody:")
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ("worker", {"BACKHAUL_AMQP_URL"}),
        ("notifier", {"BACKHAUL_DATABASE_URL"}),
        ("ledger", {"BACKHAUL_AMQP_URL", "BACKHAUL_DATABASE_URL"}),
        (None, {"BACKHAUL_AMQP_URL", "BACKHAUL_DATABASE_URL"}),
    ],
)
async def test_no_server_is_shown_that_nobody_has_set_and_the_role_does_not_need(
    role: str | None, shown: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> list[Finding]:
        return []

    monkeypatch.setattr("backhaul.wiring.doctor.store.examine", nothing)
    monkeypatch.setattr("backhaul.wiring.doctor.broker.examine", nothing)

    examined = await examination._examine(Settings.model_validate({}), role, {})

    assert {name for name in examined.settings if name.endswith("_URL")} == shown


async def test_a_look_that_fails_in_a_way_nobody_foresaw_is_a_finding() -> None:
    async def look() -> list[Finding]:
        raise LookupError("secret")

    (finding,) = await examination._safely(look())

    assert finding.severity is Severity.FAULT
    assert "LookupError" in finding.fact
    assert "secret" not in finding.fact
