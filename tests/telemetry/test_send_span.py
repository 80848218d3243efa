"""The span `send <type>` measures the storing of a job, and its context travels with the job."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from telemetry.jobs import JOB_ID, JOB_TYPE, SAMPLED, SPAN, TRACE, UNSAMPLED

from millstream_telemetry import NO_TRACE, JobTracer, delivery_of


def test_send_carries_the_conventions_of_messaging(tracer, exported):
    """The producer span has the messaging attributes, the job id and the name of the worker that sends."""
    tracer.send(JOB_TYPE, JOB_ID, NO_TRACE).stored()
    tracer.of_client("host:7:ab").send(JOB_TYPE, JOB_ID, NO_TRACE, tenant="acme").stored()

    spans = exported.get_finished_spans()
    assert [(span.name, span.kind) for span in spans] == [("send email.send", SpanKind.PRODUCER)] * 2
    attributes = {
        "messaging.system": "millstream",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "email.send",
        "messaging.message.id": "email.send_001",
    }
    assert dict(spans[0].attributes) == attributes | {"millstream.job.tenant": "default"}
    assert dict(spans[1].attributes) == attributes | {
        "millstream.job.tenant": "acme",
        "messaging.client.id": "host:7:ab",
    }


def test_send_ends_when_its_job_is_stored(tracer, exported):
    """The span `send` ends when its job is stored."""
    send = tracer.send(JOB_TYPE, JOB_ID, SAMPLED)
    tracer.send(JOB_TYPE, JOB_ID, SAMPLED).stored()
    (meanwhile,) = exported.get_finished_spans()
    send.stored()

    (_, span) = exported.get_finished_spans()
    assert span.start_time <= meanwhile.start_time < meanwhile.end_time <= span.end_time
    assert f"{span.context.span_id:016x}" == send.context.traceparent[36:52]


def test_send_of_a_job_that_is_not_stored_is_not_exported(provider, tracer, exported):
    """The span `send` of a job that is not stored is not exported."""
    tracer.send(JOB_TYPE, JOB_ID, SAMPLED)
    provider.force_flush()

    assert exported.get_finished_spans() == ()


def test_send_says_that_a_stored_job_was_not_confirmed(tracer, exported):
    """The span `send` of a stored job that was not confirmed has the status ERROR and says why."""
    tracer.send(JOB_TYPE, JOB_ID, SAMPLED).stored(TimeoutError("no replica has it yet"))

    (span,) = exported.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no replica has it yet")
    assert span.attributes["error.type"] == "TimeoutError"


@pytest.mark.parametrize(
    ("propagation", "options", "links"),
    [
        ("auto", {}, False),
        ("auto", {"delay_s": 300.0}, False),
        ("auto", {"delay_s": 300.1}, True),
        ("auto", {"is_batch_item": True}, True),
        ("child", {"delay_s": 3600.0, "is_batch_item": True}, False),
        ("link", {}, True),
    ],
)
def test_send_links_or_continues_as_propagation_says(provider, exported, propagation, options, links):
    """A long delay or a batch item starts a trace that links to the caller's, unless the propagation says otherwise."""
    send = JobTracer(provider, propagation=propagation).of_client("w1").send(JOB_TYPE, JOB_ID, SAMPLED, **options)
    send.stored()

    (span,) = exported.get_finished_spans()
    assert (send.context.trace_id != TRACE) is links
    assert [f"{link.context.span_id:016x}" for link in span.links] == ([SPAN] if links else [])
    assert (span.parent is None) is links
    assert send.context.traceparent[36:52] == f"{span.context.span_id:016x}"


def test_send_keeps_tracestate_when_it_continues_the_trace(tracer):
    """A job that continues the caller's trace keeps its tracestate."""
    assert tracer.send(JOB_TYPE, JOB_ID, SAMPLED).context.tracestate == "vendor=1"


def test_send_passes_an_unsampled_caller_on_unchanged(tracer, exported):
    """The context of an unsampled caller is stored unchanged."""
    send = tracer.send(JOB_TYPE, JOB_ID, UNSAMPLED)
    send.stored()

    assert send.context == UNSAMPLED
    assert exported.get_finished_spans() == ()


def test_send_of_a_linked_job_that_is_not_recorded_stores_an_unsampled_context():
    """A linked job that is not recorded stores an unsampled context, so that no attempt decides anew."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)

    assert JobTracer(provider).send(JOB_TYPE, JOB_ID, SAMPLED, is_batch_item=True).context == UNSAMPLED


@pytest.mark.parametrize("is_batch_item", [False, True])
def test_send_links_to_what_the_job_waits_for(tracer, exported, is_batch_item):
    """The span `send` links to the attempts of the jobs before it, 32 at most, beside its own caller."""
    behind = [delivery_of(f"email.send_{at:03}", TRACE, 2) for at in range(40)]
    tracer.send(JOB_TYPE, JOB_ID, SAMPLED, is_batch_item=is_batch_item, behind=behind).stored()

    (span,) = exported.get_finished_spans()
    linked = [f"{link.context.span_id:016x}" for link in span.links]
    assert linked == ([SPAN] if is_batch_item else []) + [one.traceparent[36:52] for one in behind[:32]]
