"""What the compose file starts exists, and is reachable by whom it should be: read, not run, for want of an engine."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
    for variable, value in OURS[name].get("environment", {}).items():
        setting = variable.removeprefix("BACKHAUL_").removesuffix("_FILE").lower()
        field = Settings.model_fields[setting]
        is_secret = "SecretStr" in str(field.annotation)
        assert is_secret == variable.endswith("_FILE") or str(value) == "http://rabbitmq:15672"


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASS|SECRET|KEY|URL_FILE", variable):
                assert str(value).startswith("/run/secrets/")


def test_the_proxy_logs_no_query_since_that_of_a_link_to_a_stream_opens_it() -> None:
    lines = [line.strip() for line in (ROOT / "deploy/compose/proxy/haproxy.cfg").read_text().splitlines()]
    (logged,) = (line for line in lines if line.startswith("log-format "))

    assert not any(line.startswith("option httplog") for line in lines)
    assert " %HM %HP " in logged
    assert re.search(r"%r\b|%HU|%HQ|query|url", logged) is None


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
        assert SERVICES[name]["volumes"] == [f"{name}-secrets:/run/secrets:ro"]
    assert SERVICES["postgres"]["networks"] == ["store"]


def test_what_is_ours_runs_with_no_more_rights_than_it_needs() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service `secrets` makes, made twice: the second time changes no secret."""
    folder = tmp_path_factory.mktemp("secrets")
    first = _made_by(folder)
    assert _made_by(folder) == first
    return folder


def _made_by(folder: Path) -> dict[str, str]:
    program, users = ROOT / "deploy/compose/passwords.py", ROOT / "deploy/rabbitmq/users.json"
    subprocess.run([sys.executable, program, folder, users, str(os.getuid())], check=True)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "users.json"]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.get("environment")])
def test_every_secret_that_is_read_is_made_for_its_reader(name: str, made: Path) -> None:
    files = [str(value) for value in SERVICES[name]["environment"].values() if str(value).startswith("/run/secrets/")]
    (volume,) = (mount for mount in SERVICES[name]["volumes"] if mount.endswith("-secrets:/run/secrets:ro"))

    folder = made / volume.partition("-secrets:")[0]

    assert files
    assert folder.name == "client" or all((folder / Path(file).name).read_text().strip() for file in files)
    assert f"{volume.partition(':')[0]}:/secrets/{folder.name}" in SERVICES["secrets"]["volumes"]


def test_each_role_has_a_user_of_its_own_on_the_broker(made: Path) -> None:
    users = {user["name"]: user for user in json.loads((made / "rabbitmq/users.json").read_text())["users"]}

    for name, file in {
        "backhaul-gateway": "platform/gateway_amqp_url",
        "backhaul-ledger": "platform/ledger_amqp_url",
        "backhaul-deploy": "platform/deploy_amqp_url",
        **{f"backhaul-worker-{example}": f"{example}/amqp_url" for example in EXAMPLES},
    }.items():
        url = urlsplit((made / file).read_text().strip())
        assert (url.username, url.hostname) == (name, "rabbitmq")
        salted = base64.b64decode(users[name]["password_hash"])
        assert salted[4:] == hashlib.sha256(salted[:4] + (url.password or "").encode()).digest()


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
