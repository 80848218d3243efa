"""The list of names agrees with its page in the documentation and with the code."""

from pathlib import Path
from typing import Any

import pytest

from millstream_contracts import Demand
from millstream_telemetry import (
    AuditMetrics,
    BatchMetrics,
    CodecMetrics,
    ConsoleMetrics,
    DispatcherMetrics,
    DutyMetrics,
    HistoryMetrics,
    IngestMetrics,
    MetricRegistry,
    NoticeMetrics,
    OperationMetrics,
    ReaperMetrics,
    RedisMetrics,
    ScheduleMetrics,
    ServiceMetrics,
    TenantMetrics,
    WebhookMetrics,
    WorkerMetrics,
    WorkflowMetrics,
    names,
)

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"


def table_under(heading: str) -> list[tuple[str, ...]]:
    """Return the rows of the table below a heading, without its head."""
    section = PAGE.read_text().split(f"\n### {heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines[2:]]


def quoted(words: tuple[str, ...]) -> str:
    """Return words as the page quotes them."""
    return ", ".join(f"`{word}`" for word in words)


@pytest.mark.parametrize(
    ("heading", "rows"),
    [
        ("Spans", [(f"`{s.name}`", s.kind, s.made_by, s.meaning) for s in names.SPANS]),
        ("Attributes", [(f"`{a.name}`", a.meaning) for a in names.ATTRIBUTES]),
        ("Metric names", [(f"`{m.name}`", m.kind, quoted(m.labels), m.help) for m in names.METRICS]),
        ("Log fields", [(f"`{f.name}`", f.meaning) for f in names.LOG_FIELDS]),
    ],
)
def test_page_equals_names_in_every_table(heading, rows):
    """The tables of the page list exactly the names of the code, in the same words and order."""
    assert table_under(heading) == rows


def test_metric_groups_make_all_metrics_and_no_others():
    """The groups of metrics make exactly the listed metrics."""
    registry = MetricRegistry()
    for group in (
        IngestMetrics,
        OperationMetrics,
        WorkerMetrics,
        DispatcherMetrics,
        AuditMetrics,
        HistoryMetrics,
        NoticeMetrics,
        ScheduleMetrics,
        TenantMetrics,
        WorkflowMetrics,
        BatchMetrics,
        WebhookMetrics,
        ReaperMetrics,
        ConsoleMetrics,
        RedisMetrics,
    ):
        group(registry)
    CodecMetrics(registry, "reaper")
    DutyMetrics(registry, "reaper")
    ServiceMetrics(registry, "reaper", version="1")
    nothing = Demand(queued=0, running=0, due_soon=0, oldest_ready_age_s=0.0, slots=0, wanted_workers=0)
    DispatcherMetrics(registry).publish_demand({}, nothing, 0)
    DispatcherMetrics(registry).publish_outbox(0, 0.0)

    assert set(registry.made) == set(names.METRICS)
    made: dict[names.MetricSpec, Any] = dict(registry.made)
    for spec, metric in made.items():
        if spec.labels:
            metric.labels(*("x" for _ in spec.labels))
        (family,) = metric.collect()
        assert family.type == spec.kind
        assert {tuple(name for name in sample.labels if name != "le") for sample in family.samples} == {spec.labels}


def test_metric_names_carry_the_prefix_and_a_unit_or_total():
    """A metric name has the prefix, and ends in its base unit or in `_total` for a counter."""
    for spec in names.METRICS:
        assert spec.name.startswith("millstream_")
        assert (spec.kind == "counter") == spec.name.endswith("_total")
        assert not spec.name.endswith(("_ms", "_milliseconds", "_kb", "_mb"))
        assert list(spec.buckets) == sorted(set(spec.buckets))
        assert bool(spec.buckets) == (spec.kind == "histogram")
