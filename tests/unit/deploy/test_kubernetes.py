"""The manifests for Kubernetes: valid by its own schemas, and closed in themselves."""

import copy
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.unit.deploy.manifests import (
    DOCKERFILE,
    EVERYTHING,
    EXAMPLE,
    FOLDER,
    ROLES,
    SECRETS,
    UPGRADE,
    WORKLOADS,
    Manifest,
    Workload,
    called,
    each_workload,
    folders,
    kustomization,
    of_kind,
    selects,
)

OLDEST, NEWEST = "1.30", "1.37"
CUSTOM = {"ScaledObject", "PodMonitor"}
BUILT_IN = [manifest for manifest in EVERYTHING if manifest["kind"] not in CUSTOM]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize(
    "manifest", [*BUILT_IN, *yaml.safe_load_all((EXAMPLE / "namespace.yaml").read_text())], ids=called
)
def test_a_manifest_is_what_kubernetes_takes(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    manifest = copy.deepcopy(ROLES["gateway"].manifest)
    manifest["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpGet"]["pth"] = "/healthz"

    with pytest.raises(kubernetes_validate.ValidationError, match="pth"):
        kubernetes_validate.validate(manifest, NEWEST, strict=True)


def test_every_file_is_part_of_what_is_applied() -> None:
    reached = {folder for start in (EXAMPLE, UPGRADE, FOLDER / "monitoring") for folder in folders(start)}
    named = {folder / name for folder in reached for name in kustomization(folder).get("resources", ())}
    files = {path for path in FOLDER.rglob("*") if path.is_file()} - {EXAMPLE / "namespace.yaml"}

    assert {path.parent for path in files if path.name == "kustomization.yaml"} == reached
    assert {path for path in files if path.name != "kustomization.yaml"} <= named
    assert all(path.exists() for path in named)


def test_nothing_is_called_like_something_else() -> None:
    names = [called(manifest) for manifest in EVERYTHING]

    assert len(names) == len(set(names))


@each_workload
def test_what_it_mounts_and_who_it_is_exist(workload: Workload) -> None:
    volumes = {volume["name"]: volume for volume in workload.pod["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in workload.container["volumeMounts"]}

    assert set(mounts) == {SECRETS, "/tmp"}
    assert set(mounts.values()) == set(volumes)
    assert "secret" in volumes[mounts[SECRETS]]
    assert workload.pod["serviceAccountName"] in of_kind("ServiceAccount")


@each_workload
def test_it_has_no_more_rights_than_it_needs(workload: Workload) -> None:
    (user,) = re.findall(r"useradd .*--uid (\d+)", DOCKERFILE)

    assert workload.pod["automountServiceAccountToken"] is False
    assert workload.pod["enableServiceLinks"] is False
    assert workload.pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert workload.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= workload.container["resources"]["requests"].keys()
    assert workload.container["resources"]["limits"].keys() == {"memory"}
    assert not of_kind("ServiceAccount")[workload.pod["serviceAccountName"]]["automountServiceAccountToken"]


def reachable(labels: dict[str, str], direction: str) -> set[Any]:
    """The ports that the policies open for such a pod; None stands for all of them."""
    opened = set()
    for policy in (found["spec"] for found in of_kind("NetworkPolicy").values()):
        if selects(policy["podSelector"], labels):
            for rule in policy.get(direction, ()):
                opened |= {port["port"] for port in rule["ports"]} if "ports" in rule else {None}
    return opened


NAMES, STORE, BROKER, MANAGEMENT = {53}, {5432}, {5671, 5672}, {15671, 15672}


@pytest.mark.parametrize(
    ("component", "ports"),
    [
        ("gateway", NAMES | STORE | BROKER),
        ("ledger", NAMES | STORE | BROKER),
        ("notifier", NAMES | STORE | {None}),
        ("worker", NAMES | BROKER),
        ("deploy", NAMES | STORE | BROKER | MANAGEMENT),
    ],
)
def test_it_reaches_what_it_needs_and_nothing_else(component: str, ports: set[Any]) -> None:
    pods = [workload.labels for workload in WORKLOADS if workload.component == component]

    assert pods
    for labels in pods:
        assert reachable(labels, "egress") == ports


def test_every_pod_is_closed_to_what_no_policy_opens() -> None:
    closing = of_kind("NetworkPolicy")["backhaul"]["spec"]

    assert set(closing["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in closing
    for workload in WORKLOADS:
        assert selects(closing["podSelector"], workload.labels)


def test_only_a_gateway_is_open_to_everybody() -> None:
    anybody = [
        policy["spec"]["podSelector"]
        for policy in of_kind("NetworkPolicy").values()
        if any("from" not in rule for rule in policy["spec"].get("ingress", ()))
    ]

    assert {role for role, workload in ROLES.items() if any(selects(each, workload.labels) for each in anybody)} == {
        "gateway"
    }


@pytest.mark.parametrize(
    "manifest",
    [one for one in EVERYTHING if one["kind"] in ("Deployment", "PodDisruptionBudget", "PodMonitor", "NetworkPolicy")],
    ids=called,
)
def test_what_selects_pods_finds_some(manifest: Manifest) -> None:
    selector = manifest["spec"].get("podSelector") or manifest["spec"]["selector"]

    found = {workload.name for workload in WORKLOADS if selects(selector, workload.labels)}

    assert found
    if manifest["kind"] in ("Deployment", "PodDisruptionBudget"):
        assert found == {manifest["metadata"]["name"]}


def test_every_process_is_scraped_once() -> None:
    scraped = [
        role
        for monitor in of_kind("PodMonitor").values()
        for role, workload in ROLES.items()
        if selects(monitor["spec"]["selector"], workload.labels)
    ]

    assert sorted(scraped) == sorted(ROLES)


def test_the_ingress_leads_to_the_gateways() -> None:
    (rule,) = of_kind("Ingress")["backhaul"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = of_kind("Service")[path["backend"]["service"]["name"]]["spec"]
    (port,) = service["ports"]

    assert path["backend"]["service"]["port"]["name"] == port["name"]
    assert port["targetPort"] in [found["name"] for found in ROLES["gateway"].container["ports"]]
    assert selects({"matchLabels": service["selector"]}, ROLES["gateway"].labels)
