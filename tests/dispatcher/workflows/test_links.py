"""In traces the job of a node leads to the attempts of the nodes before it."""

import pytest
from dispatcher.workflows.conftest import Mill, T, node
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from millstream_streams import NewNode
from millstream_telemetry import MAX_LINKS, JobTracer, delivery_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


async def run_traced(mill: Mill, nodes: list[NewNode], *, sampled: bool = True) -> dict[str, set[str]]:
    """Run a workflow that is traced; return the spans to which that of each job links, by the id of the job."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_ON)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    mill.tracer = JobTracer(provider)
    trace = f"00-{TRACE_ID}-00f067aa0ba902b7-0{int(sampled)}"
    await mill.broker.workflows.create(T, replace(mill.new(nodes), trace=trace))
    await mill.work()
    return {
        str((span.attributes or {})["messaging.message.id"]): {f"{link.context.span_id:016x}" for link in span.links}
        for span in exporter.get_finished_spans()
    }


async def test_a_node_links_to_the_attempts_before_it(mill: Mill) -> None:
    """The span of a job links to the last attempt of each node before its own, and of no other."""
    found = await run_traced(mill, [node("a"), node("b", at=1), node("c", [0, 1], at=2), node("d", [2])])
    a, b, c, d = (mill.ids[name] for name in "abcd")
    spans = {one: delivery_of(one, TRACE_ID, 1).traceparent[36:52] for one in (a, b, c)}
    assert found == {a: set(), b: set(), c: {spans[a], spans[b]}, d: {spans[c]}}


async def test_a_wide_fan_in_links_to_some(mill: Mill) -> None:
    """A node behind many links to the first of them, as many as a span may link to."""
    count = MAX_LINKS + 3
    found = await run_traced(mill, [*(node(f"b{at}") for at in range(count)), node("z", range(count))])
    assert len(found[mill.ids["z"]]) == MAX_LINKS


async def test_nothing_is_read_where_nothing_is_recorded(mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow whose trace is not recorded has no job looked at for links."""

    async def looked(*_: object) -> list[object]:
        raise AssertionError("a job was looked at")

    monkeypatch.setattr(mill.broker.workflows, "jobs_of", looked)
    assert await run_traced(mill, [node("a"), node("b", [0])], sampled=False) == {}
    assert list(mill.ids) == ["a", "b"]
