"""Writes `prometheus-rule.yaml` from the rules of Prometheus: `make generate` does it, and a test compares the two."""

import textwrap
from pathlib import Path

HERE = Path(__file__).parent
SOURCE, TARGET = HERE.parents[1] / "prometheus/alerts.yml", HERE / "prometheus-rule.yaml"

HEAD = """\
# The alerts of deploy/prometheus/alerts.yml, written from it by `make generate`; docs/runbook.md has a section on each.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: millstream
spec:
"""


def rule_of(alerts: str) -> str:
    """Return the manifest that has these rules, comments included; what stands above the groups is left out."""
    groups = alerts[alerts.index("groups:\n") :]
    return HEAD + textwrap.indent(groups, "  ")


if __name__ == "__main__":
    TARGET.write_text(rule_of(SOURCE.read_text()))
