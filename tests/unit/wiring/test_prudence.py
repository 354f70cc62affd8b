"""What settings give the doctor to say, with nothing looked at but them."""

from typing import Any

import pytest

from backhaul.core.findings import Severity
from backhaul.settings import Settings
from backhaul.wiring.doctor import prudence

SECRET = "0123456789abcdef0123456789abcdef"
FAULT, WARNING, NOTE = Severity.FAULT, Severity.WARNING, Severity.NOTE


def examined(role: str | None = None, names: dict[str, str] | None = None, **given: Any) -> list[tuple[Severity, str]]:
    settings = Settings.model_validate({"secret_key": SECRET} | given)
    return [(found.severity, found.fact) for found in prudence.examine(settings, role, names or {})]


def test_settings_that_ask_for_no_trouble_are_said_to_be_well() -> None:
    assert examined() == [(Severity.OK, "nothing in them asks for trouble")]


@pytest.mark.parametrize(
    ("given", "role", "severity", "fact"),
    [
        ({"host": "0.0.0.0", "secret_key": None}, None, FAULT, "refuses to serve 0.0.0.0 without BACKHAUL_SECRET_KEY"),
        ({"host": "0.0.0.0", "webhook_allow_private": True}, "gateway", WARNING, "reach what this network hides"),
        ({"host": "0.0.0.0"}, "server", NOTE, "nothing limits what one key may submit"),
        ({"secret_key": None}, None, NOTE, "webhooks are refused"),
        ({"cors_origins": "*"}, None, WARNING, "does not count on loopback"),
        ({"secret_key": None}, "notifier", FAULT, "a notifier cannot read webhooks' secrets"),
        ({"lease": "6s", "heartbeat": "2s"}, None, WARNING, "shorter than it takes to notice a broken connection"),
        ({"lease": "10m"}, None, NOTE, "a dead worker's tasks wait for 0:10:00"),
        ({"retention": "5s"}, None, WARNING, "results are deleted 5 s after the end"),
        ({"max_result": "64 MiB"}, None, NOTE, "no task could be given such a result"),
        ({"amqp_url": "amqps://guest:guest@mq.example/"}, None, WARNING, "guest may log in on RabbitMQ's own machine"),
        ({"amqp_url": "amqp://a:b@mq.example/"}, "worker", NOTE, "mq.example is not encrypted"),
        ({"database_url": "sqlite:///tasks.db"}, "ledger", WARNING, "SQLite is for one process"),
    ],
)
def test_each_combination_that_asks_for_trouble_is_named(
    given: dict[str, Any], role: str | None, severity: Severity, fact: str
) -> None:
    found = examined(role, **given)

    assert [each for each in found if each[0] is severity and fact in each[1]], found


def test_what_does_not_concern_a_role_is_not_said_to_it() -> None:
    assert examined("worker", host="0.0.0.0", secret_key=None) == [(Severity.OK, "nothing in them asks for trouble")]


def test_a_misspelt_setting_is_named_and_what_others_have_set_is_not() -> None:
    found = examined(
        names={
            "BACKHAUL_RETENSION": "1h",
            "BACKHAUL_API_KEY_FILE": "/run/secrets/key",
            "BACKHAUL_GATEWAY_PORT_8080_TCP": "x",
            "HOME": "/",
        }
    )

    assert found == [(WARNING, "BACKHAUL_RETENSION is no setting, and is ignored")]
