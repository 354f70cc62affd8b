"""What Prometheus is told to look at exists: read, not run. `make check` plays the alerts where there is promtool."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from backhaul.core.metrics import Shape
from backhaul.wiring.catalogue import METRICS

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "observability"
GROUPS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
SUFFIXES = ("_bucket", "_count", "_sum")
KNOWN = {metric.name for metric in METRICS} | {
    metric.name + suffix for metric in METRICS if metric.shape is Shape.HISTOGRAM for suffix in SUFFIXES
}


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_looks_at_metrics_that_exist_and_says_what_is_wrong(name: str) -> None:
    alert = ALERTS[name]

    used = set(re.findall(r"\bbackhaul_\w+", alert["expr"]))

    assert used <= KNOWN
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"]


def test_the_documentation_says_of_every_alert_what_to_do() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()

    for name in ALERTS:
        assert f"| `{name}` |" in text


def test_every_container_of_ours_that_stays_up_is_scraped() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name for name, service in services.items() if service["image"] in ("backhaul:dev", "backhaul-examples:dev")}
    lasting = {name for name in ours if "disable" not in services[name].get("healthcheck", {})}
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]

    scraped = {name for job in jobs for found in job["dns_sd_configs"] for name in found["names"]}

    assert lasting <= scraped
