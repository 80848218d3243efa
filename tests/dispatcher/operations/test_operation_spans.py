"""Each job that an operation redrives has a span in its own trace, which leads to the page of the operation."""

import msgspec
import pytest
from dispatcher.operations.scene import Scene
from history_seeds import store
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from streams.seeds import ERROR, commit, job_of, new_job, take_one

from millstream_contracts import Dead, JobId, JobSpec
from millstream_streams import NewJob
from millstream_telemetry import JobTracer, names

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Return what holds the spans that have ended."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> JobTracer:
    """Return a tracer that records every trace."""
    provider = TracerProvider(sampler=ALWAYS_ON)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return JobTracer(provider)


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    """Return the one span of a name."""
    [found] = [span for span in exporter.get_finished_spans() if span.name == name]
    return found


async def dead_and_traced(scene: Scene) -> JobId:
    """Make a dead job whose trace is recorded."""
    spec = JobSpec(payload=msgspec.Raw(msgspec.msgpack.encode({})), created_at_ms=1, traceparent=TRACEPARENT)
    job = NewJob(id=new_job(scene.queue).id, spec=msgspec.msgpack.encode(spec))
    await scene.broker.store.enqueue(scene.queue, [job])
    await commit(scene.broker, await take_one(scene.broker, scene.queue), Dead("attempts", ERROR))
    await store(scene.history, scene.queue, await job_of(scene.broker, scene.queue, job.id))
    return job.id


@pytest.mark.parametrize(("kind", "options"), [("redrive", {}), ("patch", {"patch": {"a": 1}})])
async def test_a_job_that_an_operation_redrives_and_the_page_link_to_each_other(
    scene: Scene, exporter: InMemorySpanExporter, kind: str, options: dict[str, object]
) -> None:
    """The span `redrive` is in the trace of the job, names the operation, and is linked with its page both ways."""
    job_id = await dead_and_traced(scene)
    operation = await scene.add(kind, ids=[job_id, "nonsense"], **options)
    await scene.run()
    note, page = named(exporter, "redrive"), named(exporter, f"operation {kind}")
    assert note.context is not None
    assert page.context is not None
    assert f"{note.context.trace_id:032x}" == TRACE_ID
    assert note.attributes is not None
    assert (note.attributes[names.OPERATION_ID], note.attributes[names.MESSAGE_ID]) == (operation, job_id)
    assert [link.context.span_id for link in note.links][-1] == page.context.span_id
    assert [link.context.span_id for link in page.links] == [note.context.span_id]
    assert page.attributes is not None
    assert dict(page.attributes) == {names.OPERATION_ID: operation, names.BATCH_COUNT: 2}


async def test_a_dry_run_and_a_refusal_leave_no_span_in_a_trace(scene: Scene, exporter: InMemorySpanExporter) -> None:
    """Jobs that were not redriven have no span of it."""
    job_id = await dead_and_traced(scene)
    await scene.add("redrive", ids=[job_id], dry_run=True)
    await scene.run()
    assert exporter.get_finished_spans() == ()
    await scene.broker.store.discard(scene.queue, [job_id])
    await scene.add("redrive", ids=[job_id])
    await scene.run()
    assert [span.name for span in exporter.get_finished_spans()] == ["operation redrive"]
