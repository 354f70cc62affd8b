"""What Prometheus and Grafana are told to look at exists: read, and what is asked is parsed by promtool where there is
one. `make check` plays the alerts."""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backhaul.core.metrics import Shape
from backhaul.notifier.metrics import OUTCOMES
from backhaul.wiring.catalogue import METRICS
from backhaul_contracts.events import EventType

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "observability"
GROUPS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
PLAYED = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
DASHBOARD = json.loads((FOLDER / "grafana" / "backhaul.json").read_text())
GRAPHS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {variable["name"] for variable in DASHBOARD["templating"]["list"]}

SUFFIXES = ("_bucket", "_count", "_sum")
LABELS = {metric.name: {*metric.labels} for metric in METRICS} | {
    metric.name + suffix: {*metric.labels, "le"}
    for metric in METRICS
    if metric.shape is Shape.HISTOGRAM
    for suffix in SUFFIXES
}
OF_TARGETS = {"job", "instance"}
WORDS = {
    "event": {event.removeprefix("task.") for event in EventType},
    "stage": {"accept", "wait", "run"},
    "role": {"gateway", "ledger", "notifier", "server", "worker"},
    "part": {"store", "broker"},
    "outcome": {*OUTCOMES},
}
"""What stands in labels that no service gives its own values."""
SELECTED = re.compile(r"\b(backhaul_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\b(?:by|on|group_left) \(([^)]*)\)")


def metrics_in(expression: str) -> set[str]:
    return {name for name, _ in SELECTED.findall(expression)}


def assert_answerable(expression: str) -> None:
    """It asks for metrics that exist, by labels that these have."""
    assert metrics_in(expression) <= LABELS.keys()
    for metric, selector in SELECTED.findall(expression):
        assert {*re.findall(r"(\w+)(?:=|!)", selector)} <= LABELS[metric] | OF_TARGETS, expression
        for label, values in re.findall(r'(\w+)!?=~?"([^"]*)"', selector):
            assert {*values.split("|")} <= WORDS.get(label, {*values.split("|")}), expression
    had = OF_TARGETS.union(*(LABELS[metric] for metric in metrics_in(expression)))
    for names in GROUPED.findall(expression):
        assert {*re.findall(r"\w+", names)} <= had, expression


def expressions() -> Iterator[tuple[str, str]]:
    """What the dashboard asks, as Prometheus is asked it."""
    for panel in GRAPHS:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m")
            yield panel["title"], re.sub(r"\$(?:queue|kind)\b", ".*", expression)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_looks_at_metrics_that_exist_and_says_what_is_wrong(name: str) -> None:
    alert = ALERTS[name]

    assert_answerable(alert["expr"])
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_is_played_silent_and_firing(name: str) -> None:
    looks = [look for test in PLAYED for look in test["alert_rule_test"] if look["alertname"] == name]

    assert {bool(look["exp_alerts"]) for look in looks} == {True, False}


def test_the_documentation_says_of_every_alert_what_to_do_and_how_urgent_it_is() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()

    for name, alert in ALERTS.items():
        assert f"| `{name}` | {alert['labels']['severity']} |" in text


def test_every_container_of_ours_that_stays_up_is_scraped() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name for name, service in services.items() if service["image"] in ("backhaul:dev", "backhaul-examples:dev")}
    lasting = {name for name in ours if "disable" not in services[name].get("healthcheck", {})}
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]

    scraped = {name for job in jobs for found in job["dns_sd_configs"] for name in found["names"]}

    assert lasting <= scraped


@pytest.mark.parametrize("panel", GRAPHS, ids=lambda panel: str(panel["title"]))
def test_a_graph_shows_metrics_that_exist_and_names_its_lines_by_labels_they_have(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        kept = {label for names in GROUPED.findall(expression) for label in re.findall(r"\w+", names)}

        assert_answerable(expression)
        assert {*re.findall(r"\$(\w+)", expression)} <= VARIABLES | {"__rate_interval"}
        assert {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])} <= kept


def test_the_dashboard_shows_every_metric_there_is() -> None:
    asked = set().union(*(metrics_in(expression) for _, expression in expressions()))

    assert {re.sub(r"_bucket$", "", name) for name in asked} == {metric.name for metric in METRICS}


def test_the_dashboard_takes_the_prometheus_it_is_given_and_has_a_place_for_every_graph() -> None:
    places = Counter(
        (x, panel["gridPos"]["y"])
        for panel in GRAPHS
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
    )

    assert {panel["datasource"]["uid"] for panel in GRAPHS} == {"${datasource}"}
    assert {*places.values()} == {1}
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
def test_prometheus_understands_what_the_dashboard_asks(tmp_path: Path) -> None:
    rules = [{"record": f"asked:{n}", "expr": expression} for n, (_, expression) in enumerate(expressions())]
    asked = tmp_path / "asked.yml"
    asked.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    checked = subprocess.run(["promtool", "check", "rules", asked], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
