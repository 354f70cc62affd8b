"""What the compose file starts exists, and is reachable by whom it should be: read, not run, for want of an engine."""

import json
import re
from collections import Counter
from typing import Any

import pytest
import yaml
from typer.main import get_command

from backhaul.cli.main import app
from backhaul.settings import Settings
from backhaul.worker import load_services
from tests.support.compose import COMPOSE, ROOT, SERVICES, USERS
from tests.support.leaving import longest_drain

OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("backhaul")}
ONE_SHOTS = {"secrets", "users", "password", "database", "topology", "keys"}
EXAMPLES = {"digest", "linkcheck", "report", "thumbnail"}
READERS = {
    "kept": {"secrets"},
    "rabbitmq": {"rabbitmq"},
    "postgres": {"postgres", "password"},
    "users": {"users"},
    "database": {"database", "keys"},
    "topology": {"topology"},
    "gateway": {"gateway"},
    "ledger": {"ledger"},
    "notifier": {"notifier"},
    "client": {"keys", "cli"},
    "prometheus": {"keys", "prometheus"},
    **{name: {name} for name in EXAMPLES},
}
"""Who mounts which volume of secrets, beside the service `secrets`, which fills them."""


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


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_worker_is_given_the_time_to_drain(name: str) -> None:
    _, target = OURS[name]["command"]
    (seconds,) = re.findall(r"^(\d+)s$", OURS[name]["stop_grace_period"])

    assert int(seconds) > longest_drain(target).total_seconds()


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
        if name in ONE_SHOTS | {"cli"}:
            assert service["healthcheck"] == {"disable": True}
        else:
            assert service["healthcheck"]["test"]


def test_what_is_said_does_not_fill_the_disk() -> None:
    for service in SERVICES.values():
        assert service["logging"] == {"driver": "local"}


@pytest.mark.parametrize(
    ("image", "volume"),
    [
        ("rabbitmq", "/var/lib/rabbitmq"),
        ("postgres", "/var/lib/postgresql/data"),
        ("prom/prometheus", "/prometheus"),
    ],
)
def test_no_nameless_volume_is_made_for_what_an_image_declares_as_one(image: str, volume: str) -> None:
    of_the_image = [name for name, service in SERVICES.items() if service["image"].startswith(f"{image}:")]

    assert of_the_image
    for name in of_the_image:
        targets = {mount.split(":")[1] for mount in mounts(name)}
        assert volume in targets | set(SERVICES[name].get("tmpfs", []))


def test_a_worker_has_no_way_to_the_store() -> None:
    for name in EXAMPLES:
        assert SERVICES[name]["networks"] == ["broker"]
        assert SERVICES[name]["volumes"] == [f"{name}-secrets:/run/secrets:ro"]
    assert SERVICES["postgres"]["networks"] == ["store"]


def test_what_is_ours_runs_with_no_more_rights_than_it_needs() -> None:
    for service in [*OURS.values(), *(SERVICES[name] for name in ONE_SHOTS)]:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def mounts(name: str) -> list[str]:
    return list(SERVICES[name].get("volumes", []))


@pytest.mark.parametrize("volume", sorted(READERS))
def test_a_secret_is_mounted_by_its_readers_and_by_who_makes_it_alone(volume: str) -> None:
    mounted = {name for name in SERVICES for mount in mounts(name) if mount.startswith(f"{volume}-secrets:")}

    assert mounted == {"secrets", *READERS[volume]}
    assert f"{volume}-secrets" in COMPOSE["volumes"]


def test_who_reads_a_secret_cannot_change_it() -> None:
    writable = {
        (name, mount)
        for name in SERVICES
        for mount in mounts(name)
        if "-secrets:" in mount and not mount.endswith(":ro")
    }

    assert writable == {
        *(("secrets", f"{volume}-secrets:/secrets/{volume}") for volume in READERS),
        *(("keys", f"{volume}-secrets:/secrets/{volume}") for volume in ("client", "prometheus")),
    }


def test_every_file_that_is_mounted_is_there() -> None:
    files = [mount.split(":")[0] for name in SERVICES for mount in mounts(name) if mount.startswith("./")]

    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_every_user_of_a_worker_has_a_service_and_every_service_a_user() -> None:
    names = [user["name"] for user in json.loads(USERS.read_text())["users"]]
    users = {name.removeprefix("backhaul-worker-") for name in names if "worker" in name}
    workers = {name for name, service in OURS.items() if service.get("command", [""])[0] == "worker"}

    assert users == workers == EXAMPLES


@pytest.mark.parametrize(
    ("name", "earlier"),
    [
        ("rabbitmq", {"secrets": "done"}),
        ("postgres", {"secrets": "done"}),
        ("users", {"rabbitmq": "healthy"}),
        ("password", {"postgres": "healthy"}),
        ("database", {"password": "done"}),
        ("topology", {"users": "done"}),
        ("ledger", {"database": "done", "topology": "done"}),
        ("gateway", {"keys": "done", "topology": "done"}),
        ("notifier", {"database": "done"}),
        *((name, {"ledger": "healthy"}) for name in sorted(EXAMPLES)),
    ],
)
def test_it_is_started_after_what_a_new_version_needs_first(name: str, earlier: dict[str, str]) -> None:
    conditions = {"done": "service_completed_successfully", "healthy": "service_healthy"}

    assert SERVICES[name]["depends_on"] == {each: {"condition": conditions[how]} for each, how in earlier.items()}


def test_whatever_ends_is_waited_for_since_wait_takes_any_other_end_for_a_failure() -> None:
    awaited = {
        name
        for service in SERVICES.values()
        for name, dependency in service.get("depends_on", {}).items()
        if dependency["condition"] == "service_completed_successfully"
    }

    assert awaited == ONE_SHOTS


def test_a_new_version_of_ours_leaves_servers_running_since_nothing_of_ours_comes_before_them() -> None:
    for name in ("rabbitmq", "postgres"):
        assert not {name, *SERVICES[name]["depends_on"]} & OURS.keys()


def test_an_image_is_built_by_one_service_and_never_looked_for_elsewhere() -> None:
    builders = Counter(service["image"] for service in SERVICES.values() if "build" in service)

    assert builders == Counter({"backhaul:dev", "backhaul-examples:dev", "backhaul-proxy:dev"})
    assert {service["image"] for service in OURS.values()} == set(builders)
    assert all(service["pull_policy"] == "never" for service in OURS.values())


def test_an_image_of_others_has_a_version() -> None:
    for service in SERVICES.values():
        if "build" not in service:
            assert not service["image"].endswith(("latest", "latest}"))
            assert ":" in service["image"]


def test_the_service_that_the_docs_add_stands_on_what_is_there() -> None:
    page = (ROOT / "docs/containers.md").read_text()
    (shown,) = re.findall(r"docker-compose\.override\.yml\n(services:\n.*?)\$ ", page, re.DOTALL)
    override = yaml.safe_load(shown)

    added = override["services"]["hello"]
    users, volume = override["services"]["secrets"]["volumes"]
    pattern = SERVICES[added["extends"]["service"]]
    assert override.keys() == {"services", "volumes"}
    assert "build" not in pattern, "what is built of it would be inherited"
    assert {mount.split(":")[1] for mount in added["volumes"]} == {mount.split(":")[1] for mount in pattern["volumes"]}
    assert users.split(":")[1:] == ["/users.json", "ro"]
    assert any(mount.endswith(":/users.json:ro") for mount in mounts("secrets"))
    assert volume == "hello-secrets:/secrets/hello"


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
