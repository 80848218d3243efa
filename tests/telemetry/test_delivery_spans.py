"""The span id of a delivery follows from the job and the number of the delivery, and other spans link to it."""

import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from telemetry.jobs import JOB_ID, JOB_TYPE, SAMPLED, SPAN, TRACE, UNSAMPLED, attempt_of, past

from millstream_telemetry import NO_TRACE, JobTracer
from millstream_telemetry.tracing.delivery_spans import delivery_span

FAILED = f"00-{TRACE}-{'e' * 16}-01"


def ids(spans):
    """Return the span ids as hex."""
    return [f"{span.context.span_id:016x}" for span in spans]


def links_of(span):
    """Return as hex the span ids that a span links to."""
    return ids(span.links)


def span_id(delivery, job_id=JOB_ID):
    """Return the span id of a delivery, as hex."""
    return delivery_span(SAMPLED, job_id, delivery).traceparent[36:52]


def test_span_id_of_a_delivery_is_the_same_for_every_service_and_no_other_has_it(provider, exported):
    """Two services compute the same span id for a delivery, and each delivery of each job has another one."""
    other = TracerProvider(shutdown_on_exit=False)
    with attempt_of(JobTracer(provider), delivery=2) as here, attempt_of(JobTracer(other), delivery=2) as there:
        pass

    assert here.traceparent == there.traceparent == f"00-{TRACE}-{span_id(2)}-01"
    assert ids(exported.get_finished_spans()) == [span_id(2)]
    assert len({span_id(number, job) for number in range(1, 100) for job in ("a", "b", "a1")}) == 297


def test_span_id_of_a_delivery_does_not_change_between_releases():
    """The span id of a delivery is the same in every release, because one links to deliveries of another."""
    assert span_id(1) == "d95b5259f38dd561"


def test_only_the_span_of_the_delivery_has_its_id(provider, tracer, exported):
    """The spans of the handler, of user code and of child jobs have ids of their own."""
    user = provider.get_tracer("user")
    with attempt_of(tracer) as attempt, attempt.handler("send_email"), user.start_as_current_span("query"):
        tracer.send(JOB_TYPE, "child", attempt.context).stored()

    found = ids(exported.get_finished_spans())
    assert len(set(found)) == len(found) == 4
    assert [one for one in found if one == span_id(1)] == [span_id(1)]


class Busy(ParentBased):
    """A sampler during whose decision another thread sends a job."""

    def __init__(self):
        super().__init__(ALWAYS_ON)
        self.meanwhile = None

    def should_sample(self, parent_context, trace_id, name, kind=None, *more, **others):
        """Decide as ParentBased does, after the other thread has ended."""
        if kind is SpanKind.CONSUMER:
            thread = threading.Thread(target=self.meanwhile)
            thread.start()
            thread.join()
        return super().should_sample(parent_context, trace_id, name, kind, *more, **others)


def test_span_that_another_thread_starts_at_the_same_moment_has_an_id_of_its_own(exported):
    """A span that another thread starts while a delivery begins does not take the id of that delivery."""
    sampler = Busy()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    tracer = JobTracer(provider)
    sampler.meanwhile = lambda: tracer.send(JOB_TYPE, "other", SAMPLED).stored()
    with attempt_of(tracer):
        pass

    send, process = exported.get_finished_spans()
    assert ids([process]) == [span_id(1)] != ids([send])


def test_second_tracer_of_a_provider_gives_the_same_ids(provider, exported):
    """Every tracer of a provider gives a delivery the same span id."""
    for tracer in (JobTracer(provider), JobTracer(provider).of_client("w1"), JobTracer(provider)):
        with attempt_of(tracer):
            pass

    assert set(ids(exported.get_finished_spans())) == {span_id(1)}


def test_delivery_links_to_the_one_before_it_and_to_the_attempt_that_failed_last(tracer, exported):
    """A delivery links to the one before it and to the last failed attempt, and the first one links to none."""
    with attempt_of(tracer) as first:
        pass
    with attempt_of(tracer, delivery=2, failed=first.traceparent):
        pass
    with attempt_of(tracer, delivery=3, failed=first.traceparent):
        pass

    spans = exported.get_finished_spans()
    assert [links_of(span) for span in spans] == [[], [span_id(1)], [span_id(2), span_id(1)]]


def test_delivery_of_a_job_without_a_trace_links_to_the_attempt_that_failed_last(tracer, exported):
    """A delivery of a job without a stored trace links to the last failed attempt alone."""
    with attempt_of(tracer, NO_TRACE, delivery=3, failed=FAILED):
        pass

    (span,) = exported.get_finished_spans()
    assert links_of(span) == ["e" * 16]


def test_recover_and_bury_link_to_the_delivery_that_they_end(tracer, exported):
    """The spans `recover` and `bury` link to the delivery that they end, and have its worker, number and tenant."""
    tracer.recover(past(2), reason="lease_expired")
    tracer.bury(past(3), reason="crashed", message="the worker vanished")

    recover, bury = exported.get_finished_spans()
    for number, span in ((2, recover), (3, bury)):
        assert f"{span.parent.span_id:016x}" == SPAN
        assert span.kind is SpanKind.INTERNAL
        assert links_of(span) == [span_id(number)]
        assert {name: span.attributes[name] for name in span.attributes if "reason" not in name} == {
            "messaging.destination.name": JOB_TYPE,
            "messaging.message.id": JOB_ID,
            "messaging.client.id": "w1",
            "millstream.job.tenant": "acme",
            "millstream.job.delivery": number,
            **({"millstream.job.outcome": "lost"} if span is recover else {}),
            **({"millstream.job.outcome": "dead", "error.type": "crashed"} if span is bury else {}),
        }
    assert [span.attributes["millstream.job.reason"] for span in (recover, bury)] == ["lease_expired", "crashed"]
    assert recover.status.status_code is StatusCode.UNSET


def test_bury_is_an_error_with_the_event_of_every_dead_job(tracer, exported):
    """The span `bury` has the status ERROR and the event `dead`."""
    tracer.bury(past(3), reason="crashed", message="the worker vanished")

    (bury,) = exported.get_finished_spans()
    assert (bury.status.status_code, bury.status.description) == (StatusCode.ERROR, "the worker vanished")
    assert [(event.name, dict(event.attributes)) for event in bury.events] == [
        ("dead", {"millstream.job.reason": "crashed"})
    ]


def test_recovery_of_what_was_not_claimed_names_neither_worker_nor_delivery(tracer, exported):
    """The span `recover` of a job that was not claimed has neither link nor worker nor delivery number."""
    tracer.recover(past(0, worker=""), reason="never_started")

    (span,) = exported.get_finished_spans()
    assert span.links == ()
    assert not {"messaging.client.id", "millstream.job.delivery"} & set(span.attributes)


@pytest.mark.parametrize("stored", [NO_TRACE, UNSAMPLED])
def test_nothing_is_noted_when_the_job_is_not_recorded(tracer, exported, stored):
    """The reaper and operators make no spans of a job that is not recorded."""
    request = tracer.server("POST", "/v1/dead/redrive")
    for reason in ("lease_expired", "crashed"):
        tracer.recover(past(stored=stored), reason=reason)
        tracer.bury(past(stored=stored), reason=reason)
        tracer.redrive(past(stored=stored), request=request)

    assert exported.get_finished_spans() == ()


def test_redrive_and_the_request_for_it_link_to_each_other(tracer, exported):
    """The span `redrive` and the span of the request for it link to each other."""
    with tracer.server("POST", "/v1/dead/redrive") as request:
        tracer.redrive(past(3), failed=FAILED, request=request)

    redrive, server = exported.get_finished_spans()
    assert redrive.context.trace_id != server.context.trace_id
    assert links_of(redrive) == [span_id(3), "e" * 16, f"{server.context.span_id:016x}"]
    assert [(link.context.trace_id, link.context.span_id) for link in server.links] == [
        (redrive.context.trace_id, redrive.context.span_id)
    ]


@pytest.mark.parametrize("is_on", [True, False], ids=["unsampled", "off"])
def test_redrive_does_not_link_to_a_request_that_is_not_recorded(tracer, exported, is_on):
    """The span `redrive` has no link to a request that is not recorded."""
    asked = (tracer if is_on else JobTracer(None)).server("POST", "/v1/dead/redrive", UNSAMPLED.traceparent)
    with asked as request:
        tracer.redrive(past(1), request=request)

    (redrive,) = exported.get_finished_spans()
    assert links_of(redrive) == [span_id(1)]
