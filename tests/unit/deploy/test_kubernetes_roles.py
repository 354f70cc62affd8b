"""The manifests for Kubernetes start what the code is: commands, settings, secrets, probes, times."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from backhaul.cli.main import app
from backhaul.gateway.api.health import _needed
from backhaul.settings import FILE_SUFFIX, Settings
from backhaul.wiring.catalogue import METRICS
from backhaul.wiring.http import _GOODBYE_SECONDS
from backhaul.worker import load_services
from tests.support.leaving import longest_drain
from tests.unit.deploy.manifests import (
    DOCKERFILE,
    EXAMPLE,
    ROLES,
    ROOT,
    SECRETS,
    UPGRADE,
    WORKLOADS,
    Workload,
    each_workload,
    folders,
    kustomization,
    manifests,
    of_kind,
)

USERS = {user["name"] for user in json.loads((ROOT / "deploy/rabbitmq/users.json").read_text())["users"]}
DEFAULT_GRACE = 30  # terminationGracePeriodSeconds


@each_workload
def test_it_runs_a_command_that_exists(workload: Workload) -> None:
    command: Any = get_command(app)
    words = iter(workload.container["args"])
    while hasattr(command, "commands"):
        command = command.commands[next(words)]

    assert list(words) == (["digest.service:service"] if workload.component == "worker" else [])


@each_workload
def test_its_settings_are_known_and_its_secrets_are_files_of_its_secret(workload: Workload) -> None:
    assert set(workload.variables) <= Settings.variables()
    for name, value in workload.variables.items():
        field = Settings.model_fields[name.removeprefix("BACKHAUL_").removesuffix(FILE_SUFFIX).lower()]
        assert name.endswith(FILE_SUFFIX) == ("SecretStr" in str(field.annotation))
        assert not name.endswith(FILE_SUFFIX) or Path(value).parent == Path(SECRETS)
    for name, key in workload.files.items():
        assert name == f"BACKHAUL_{key.upper()}"
    assert of_kind("Secret") == {}


@each_workload
def test_its_secret_is_called_like_its_user_on_the_broker(workload: Workload) -> None:
    assert workload.secret == workload.pod["serviceAccountName"]
    if "BACKHAUL_AMQP_URL" in workload.files:
        assert workload.secret in USERS


@each_workload
def test_it_is_given_only_what_its_role_needs(workload: Workload) -> None:
    needed = {
        "backhaul-gateway": {"amqp_url", "database_url", "secret_key"},
        "backhaul-ledger": {"amqp_url", "database_url", "secret_key"},
        "backhaul-notifier": {"database_url", "secret_key"},
        "backhaul-worker-digest": {"amqp_url"},
        "backhaul-database": {"database_url"},
        "backhaul-topology": {"amqp_url"},
    }

    assert set(workload.files.values()) == needed[workload.name]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_it_is_asked_for_its_health_where_it_serves_it(role: str) -> None:
    container = ROLES[role].container
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    (port,) = re.findall(r"\bBACKHAUL_PORT=(\d+)", DOCKERFILE)

    assert container["ports"] == [{"name": "http", "containerPort": int(port)}]
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert probes["livenessProbe"]["path"] == "/healthz"
    if role == "gateway":
        assert probes["startupProbe"]["path"] == "/readyz?need=store"
        assert _needed(["store"]) == {"gateway", "store"}
        assert probes["readinessProbe"]["path"] == "/healthz"
    else:
        assert probes["startupProbe"]["path"] == "/healthz"
        assert probes["readinessProbe"]["path"] == "/readyz"


def test_a_worker_is_given_the_time_to_drain() -> None:
    needed = longest_drain(ROLES["worker"].container["args"][1])

    assert ROLES["worker"].pod["terminationGracePeriodSeconds"] > needed.total_seconds()


def test_a_gateway_closes_its_port_after_others_have_learnt_that_it_goes_and_in_time() -> None:
    first = ROLES["gateway"].container["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert first >= 5
    assert first + _GOODBYE_SECONDS < ROLES["gateway"].pod.get("terminationGracePeriodSeconds", DEFAULT_GRACE)


def test_workers_are_scaled_by_the_work_of_their_queue() -> None:
    scaled = of_kind("ScaledObject")["backhaul-worker-digest"]["spec"]
    (trigger,) = scaled["triggers"]
    query = trigger["metadata"]["query"]
    (service,) = load_services([ROLES["worker"].container["args"][1]])

    assert scaled["scaleTargetRef"]["name"] == ROLES["worker"].name
    assert "replicas" not in ROLES["worker"].manifest["spec"]  # or each `apply` would undo the scaling
    assert trigger["type"] == "prometheus"
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert int(trigger["metadata"]["threshold"]) == service.slots
    assert set(re.findall(r"\bbackhaul_\w+", query)) <= {metric.name for metric in METRICS}
    assert set(re.findall(r'queue="(\w+)"', query)) == {service.name}


@pytest.mark.parametrize("folder", [EXAMPLE, UPGRADE], ids=["example", "upgrade"])
def test_the_example_says_which_images_and_which_settings(folder: Path) -> None:
    sites = [kustomization(found) for found in folders(folder)]
    images = {image["name"] for site in sites for image in site.get("images", ())}
    generated = {
        entry["name"]: dict(line.split("=", 1) for line in entry["literals"])
        for site in sites
        for entry in site.get("configMapGenerator", ())
    }
    workloads = [Workload(one) for one in manifests(folder) if one["kind"] in ("Deployment", "Job")]

    assert workloads
    assert {workload.container["image"] for workload in workloads} <= images
    for workload in workloads:
        (source,) = workload.container["envFrom"]
        assert source["configMapRef"]["name"] in generated
    for settings in generated.values():
        assert set(settings) <= Settings.variables()
        Settings(**{name.removeprefix("BACKHAUL_").lower(): value for name, value in settings.items()})  # valid, too


def test_the_documentation_says_how_to_make_every_secret() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text().replace("\\\n", " ")
    needed: dict[str, set[str]] = {}
    for workload in WORKLOADS:
        needed.setdefault(workload.secret, set()).update(workload.files.values())

    for name, keys in needed.items():
        (line,) = re.findall(rf"^\$ kubectl create secret generic {name} (.*)$", text, re.MULTILINE)
        assert set(re.findall(r"--from-literal=(\w+)=", line)) == keys


def test_what_the_example_adds_is_a_setting_too() -> None:
    (patch,) = kustomization(UPGRADE)["patches"]
    (added,) = yaml.safe_load(patch["patch"])

    assert patch["target"] == {"kind": "Job", "name": "backhaul-topology"}
    assert patch["target"]["name"] in [workload.name for workload in WORKLOADS]
    assert added["path"] == "/spec/template/spec/containers/0/env/-"
    assert added["value"]["name"] in Settings.variables()
