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


async def test_a_look_that_fails_in_a_way_nobody_foresaw_is_a_finding() -> None:
    async def look() -> list[Finding]:
        raise LookupError("secret")

    (finding,) = await examination._safely(look())

    assert finding.severity is Severity.FAULT
    assert "LookupError" in finding.fact
    assert "secret" not in finding.fact
