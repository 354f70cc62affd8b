"""What the compose file starts exists, and is reachable by whom it should be: read, not run, for want of an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from backhaul.cli.main import app
from backhaul.settings import Settings
from backhaul.worker import load_services

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("backhaul")}
ONE_SHOTS = {"secrets", "database", "topology", "keys", "cli"}
EXAMPLES = {"digest", "linkcheck", "report", "thumbnail"}


@pytest.mark.parametrize("name", [name for name in OURS if "command" in OURS[name]])
def test_its_command_is_one_of_the_command_line(name: str) -> None:
    command: Any = get_command(app)
    for word in OURS[name]["command"]:
        if not hasattr(command, "commands"):
            break
        assert word in command.commands
        command = command.commands[word]

    assert not hasattr(command, "commands")


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_is_started_as_the_service_that_it_is(name: str) -> None:
    _, target = OURS[name]["command"]

    assert [service.name for service in load_services([target])] == [name]


@pytest.mark.parametrize("name", sorted(OURS))
def test_its_settings_are_known_and_its_secrets_are_in_files(name: str) -> None:
    for variable in OURS[name].get("environment", {}):
        setting = variable.removeprefix("BACKHAUL_").removesuffix("_FILE").lower()
        field = Settings.model_fields[setting]
        is_secret = "SecretStr" in str(field.annotation)
        assert is_secret == variable.endswith("_FILE")


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASS|SECRET|KEY|URL_FILE", variable):
                assert str(value).startswith("/run/secrets/")


def test_what_is_published_is_so_on_loopback_and_at_a_port_that_can_be_set() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+", port)
    assert not any(service.get("network_mode") == "host" for service in SERVICES.values())


def test_what_stays_up_says_whether_it_is_healthy() -> None:
    for name, service in SERVICES.items():
        if name in ONE_SHOTS:
            assert service["healthcheck"] == {"disable": True}
        else:
            assert service["healthcheck"]["test"]


def test_a_worker_has_no_way_to_the_store() -> None:
    for name in EXAMPLES:
        assert SERVICES[name]["networks"] == ["broker"]
        assert SERVICES[name]["volumes"] == ["worker-secrets:/run/secrets:ro"]
    assert SERVICES["postgres"]["networks"] == ["store"]


def test_what_is_ours_runs_with_no_more_rights_than_it_needs() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.get("environment")])
def test_every_secret_that_is_read_is_made_for_its_reader(name: str) -> None:
    made = (ROOT / "deploy/compose/secrets.sh").read_text() + "write client/api_key by keys.sh"
    files = [str(value) for value in SERVICES[name]["environment"].values() if str(value).startswith("/run/secrets/")]
    (volume,) = (mount for mount in SERVICES[name]["volumes"] if mount.endswith("-secrets:/run/secrets:ro"))

    reader = volume.partition("-secrets:")[0]

    assert files
    for file in files:
        assert f"write {reader}/{Path(file).name} " in made


def test_prometheus_finds_every_process_by_the_name_of_its_service() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/observability/prometheus.yml").read_text())
    found = {
        name
        for scraped in configuration["scrape_configs"]
        for lookup in scraped["dns_sd_configs"]
        for name in lookup["names"]
    }

    assert found == {"gateway", "ledger", "notifier", "rabbitmq"} | EXAMPLES
    for name in found:
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
