"""Each alert has a runbook and a test, names existing metrics, and is the same in Kubernetes."""

import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from millstream_contracts import JobState
from millstream_telemetry import names

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
RULE_TESTS = ROOT / "tests/deploy/alerts_test.yml"
RUNBOOK = ROOT / "docs/runbook.md"
MONITORING = ROOT / "deploy/k8s/monitoring"

RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on PATH")
each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])

METRICS = {spec.name: spec for spec in names.METRICS}
KNOWN_VALUES = {
    "state": {str(state) for state in JobState},
    "outcome": {*names.SUBMISSION_OUTCOMES, *names.ATTEMPT_OUTCOMES, *names.SCHEDULE_OUTCOMES},
}
TARGET_LABELS = {"container", "endpoint", "instance", "job", "namespace", "node", "pod", "service"}
"""What monitors of the Prometheus operator put on every series."""

_METRIC = re.compile(r"\b(millstream_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*[!=]~?\s*\"([^\"]*)\"")


def sections() -> dict[str, str]:
    """Return the text of each section of the runbook by its anchor."""
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return {heading.lower(): text for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def expectations() -> Iterator[tuple[str, bool]]:
    """Yield each tested alert, and whether it is expected to fire there."""
    for group in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for one in group["alert_rule_test"]:
            yield one["alertname"], bool(one["exp_alerts"])


@each_rule
def test_every_alert_has_a_section_in_the_runbook(rule: dict[str, Any]) -> None:
    """The `runbook_url` of every alert leads to a section that says what it means and what to do."""
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "https://millstream.example/docs/runbook.md"
    assert anchor == rule["alert"].lower()
    assert "**What to do.**" in sections()[anchor]


def test_the_runbook_has_no_section_on_an_alert_that_is_gone() -> None:
    """Each section of the runbook on an alert is about an existing one."""
    found = {heading for heading in sections() if heading.startswith("millstream")}
    assert found == {rule["alert"].lower() for rule in RULES}


@each_rule
def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(rule: dict[str, Any]) -> None:
    """Every alert has a test in which it fires, and one in which it does not."""
    assert {fires for name, fires in expectations() if name == rule["alert"]} == {True, False}


@each_rule
def test_every_alert_says_how_bad_it_is_and_what_happened(rule: dict[str, Any]) -> None:
    """Every alert has a severity, a summary and a description."""
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} == rule["annotations"].keys()


@each_rule
def test_every_metric_that_an_alert_names_exists(rule: dict[str, Any]) -> None:
    """Every metric of an alert is in `names.py`, with the labels and the values that the alert selects."""
    found = _METRIC.findall(rule["expr"] + rule["annotations"]["summary"].replace("\\", ""))
    assert found
    for name, matchers in found:
        for label, value in _MATCHER.findall(matchers):
            assert label in METRICS[name].labels
            assert value in KNOWN_VALUES.get(label, {value})
        for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", rule["expr"]):
            assert set(re.split(r",\s*", labels)) <= {label for name, _ in found for label in METRICS[name].labels}


def test_no_label_of_a_metric_is_one_of_its_target() -> None:
    """No metric has a label of its scrape target, which Prometheus would rename to `exported_…`."""
    assert not TARGET_LABELS & {label for spec in names.METRICS for label in spec.labels}


@needs_promtool
def test_the_alerts_fire_when_they_must() -> None:
    """Prometheus's own tests of the rules pass."""
    done = subprocess.run(["promtool", "test", "rules", RULE_TESTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_its_configuration() -> None:
    """Prometheus accepts the configuration of the compose file."""
    command = ["promtool", "check", "config", "--syntax-only", ROOT / "deploy/prometheus/prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_kubernetes_the_alerts_are_the_same() -> None:
    """The PrometheusRule is what `make generate` writes from the rules."""
    writer = runpy.run_path(str(MONITORING / "write_rule.py"))
    written = (MONITORING / "prometheus-rule.yaml").read_text()
    assert written == writer["rule_of"](ALERTS.read_text())
    assert yaml.safe_load(written)["spec"]["groups"] == yaml.safe_load(ALERTS.read_text())["groups"]


def test_in_kubernetes_every_service_is_scraped_at_a_port_that_it_has() -> None:
    """The monitor selects the pods of each Deployment by their labels, and a port by its name."""
    monitor = yaml.safe_load((MONITORING / "pod-monitor.yaml").read_text())["spec"]
    [selected] = monitor["selector"]["matchExpressions"]
    [endpoint] = monitor["podMetricsEndpoints"]
    base = [
        one for path in (ROOT / "deploy/k8s/base").glob("*.yaml") for one in yaml.safe_load_all(path.read_text()) if one
    ]
    pods = [one["spec"]["template"] for one in base if one["kind"] == "Deployment"]
    labels = [pod["metadata"]["labels"].get(selected["key"]) for pod in pods if "labels" in pod.get("metadata", {})]
    assert sorted(labels) == sorted(selected["values"])
    ports = [port["name"] for pod in pods for one in pod["spec"]["containers"] for port in one.get("ports", ())]
    assert endpoint["port"] in ports


def test_alertmanager_inhibits_alerts_that_exist() -> None:
    """Each alert in the inhibit rules of Alertmanager exists."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/alertmanager.yml").read_text())
    named = {
        name
        for rule in config["inhibit_rules"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"])
        for name in re.findall(r"Millstream\w+", matcher)
    }
    assert named
    assert named <= {rule["alert"] for rule in RULES}
