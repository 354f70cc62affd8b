"""The manifests of deploy/kubernetes as they stand in their files, for tests that look at them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from backhaul.settings import FILE_SUFFIX

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
EXAMPLE = FOLDER / "overlays" / "example"
UPGRADE = EXAMPLE / "upgrade"
SECRETS = "/run/secrets/backhaul"

Manifest = dict[str, Any]


def kustomization(folder: Path) -> Manifest:
    found: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def folders(folder: Path) -> Iterator[Path]:
    """The kustomization of `folder` and all that it stands on."""
    yield folder
    for name in (*kustomization(folder).get("resources", ()), *kustomization(folder).get("components", ())):
        if (folder / name).is_dir():
            yield from folders((folder / name).resolve())


def manifests(folder: Path) -> Iterator[Manifest]:
    """What is applied with `folder`, as it stands in the files."""
    for found in folders(folder):
        for name in kustomization(found).get("resources", ()):
            if (found / name).is_file():
                yield from yaml.safe_load_all((found / name).read_text())


EVERYTHING = [*manifests(EXAMPLE), *manifests(UPGRADE), *manifests(FOLDER / "monitoring")]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()


def called(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def of_kind(kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in EVERYTHING if manifest["kind"] == kind}


@dataclass(frozen=True)
class Workload:
    """A Deployment or a Job, and the pods that it makes."""

    manifest: Manifest

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def pod(self) -> Manifest:
        found: Manifest = self.manifest["spec"]["template"]["spec"]
        return found

    @property
    def labels(self) -> dict[str, str]:
        found: dict[str, str] = self.manifest["spec"]["template"]["metadata"]["labels"]
        return found

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def container(self) -> Manifest:
        (found,) = self.pod["containers"]
        return dict(found)

    @property
    def variables(self) -> dict[str, str]:
        return {entry["name"]: entry["value"] for entry in self.container["env"]}

    @property
    def files(self) -> dict[str, str]:
        """The secret settings that it is given, each with the key of its Secret."""
        return {
            name.removesuffix(FILE_SUFFIX): Path(value).name
            for name, value in self.variables.items()
            if name.endswith(FILE_SUFFIX)
        }

    @property
    def secret(self) -> str:
        (found,) = (volume["secret"]["secretName"] for volume in self.pod["volumes"] if "secret" in volume)
        return str(found)


WORKLOADS = [Workload(manifest) for manifest in EVERYTHING if manifest["kind"] in ("Deployment", "Job")]
ROLES = {workload.component: workload for workload in WORKLOADS if workload.manifest["kind"] == "Deployment"}
each_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        expression["operator"] == "In" and labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", ())
    )
