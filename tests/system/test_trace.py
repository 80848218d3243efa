"""One trace follows a job from its caller through every process."""

import os
import signal

from otlp_receiver import OtlpReceiver, ReceivedSpan, SpanNode
from system.running import notes, started
from waiting import wait_until

INGEST, WORKERS, REAPER = "millstream-ingest", "millstream-workers", "millstream-reaper"


def shape(node: SpanNode) -> tuple:
    """Return a tree as nested (service, kind, name, status, children)."""
    span = node.span
    return span.service, span.kind, span.name, span.status, [shape(child) for child in node.children]


def one(spans: list[ReceivedSpan], name: str) -> ReceivedSpan:
    """Return the only span of this name."""
    [found] = [span for span in spans if span.name == name]
    return found


async def submit(http, traceparent: str, job_type: str, payload: object = None) -> dict:
    """Submit a job as a caller with a trace of its own."""
    body = {"type": job_type, "payload": payload}
    answer = await http.post("/v1/jobs", json=body, headers={"traceparent": traceparent})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_trace_of_a_retried_job_is_the_documented_tree(client, http, receiver: OtlpReceiver, traceparent):
    """The trace of a retried job is SERVER, PRODUCER, and below it both attempts, each with its handler."""
    _, trace_id, caller, _ = traceparent.split("-")
    job = await submit(http, traceparent, "chore.retried")
    assert job["trace_id"] == trace_id
    await client.result(job["id"], 60)
    receiver.wait_until(lambda: len(receiver.trace(trace_id)) == 6, "the spans of a job with two attempts", 60)
    [root] = receiver.tree(trace_id)
    assert shape(root) == (
        *(INGEST, "SERVER", "POST /v1/jobs", "UNSET"),
        [
            (
                *(INGEST, "PRODUCER", "send chore.retried", "UNSET"),
                [
                    (
                        *(WORKERS, "CONSUMER", "process chore.retried", "ERROR"),
                        [(WORKERS, "INTERNAL", "retried", "ERROR", [])],
                    ),
                    (
                        *(WORKERS, "CONSUMER", "process chore.retried", "UNSET"),
                        [(WORKERS, "INTERNAL", "retried", "UNSET", [])],
                    ),
                ],
            )
        ],
    ), receiver.drawing(trace_id)
    assert root.span.parent_id == caller
    assert (await client.get(job["id"])).trace_id == trace_id


async def test_attempts_of_a_trace_are_numbered_linked_and_say_why_they_failed(
    client, http, receiver, trace_id, traceparent
):
    """Attempts are numbered, the second links to the first, and the first names its error and next attempt."""
    job = await submit(http, traceparent, "chore.retried")
    await client.result(job["id"], 60)
    receiver.wait_until(lambda: len(receiver.trace(trace_id)) == 6, "the spans of a job with two attempts", 60)
    first, second = [span for span in receiver.trace(trace_id) if span.kind == "CONSUMER"]
    assert first.links == []
    assert second.links == [(trace_id, first.span_id)]
    [(event, attributes)] = first.events
    assert event == "retry scheduled"
    assert 0 <= attributes["delay_s"] <= 0.1
    assert (first.attributes["error.type"], first.status_message) == ("system.chores.BusyError", "come back later")
    for number, span in enumerate((first, second), 1):
        assert span.attributes["messaging.message.id"] == job["id"]
        assert span.attributes["millstream.job.attempt"] == number
        assert span.attributes["millstream.job.delivery"] == number
        assert span.attributes["messaging.consumer.group.name"] == "workers"


async def test_trace_shows_that_a_job_was_taken_back_from_a_killed_worker(
    client, http, receiver, folder, trace_id, traceparent
):
    """The span `recover` names the killed worker, and links like the next attempt to the delivery that left no span."""
    job = await submit(http, traceparent, "chore.gate", {"folder": str(folder)})
    [first] = await started(folder)
    [killed] = [worker.name for worker in await client.workers() if f":{first['pid']}:" in worker.name]
    os.kill(first["pid"], signal.SIGKILL)
    await started(folder, 2)
    (folder / "go").touch()
    await client.result(job["id"], 60)
    receiver.wait_until(lambda: len(receiver.trace(trace_id)) == 5, "the spans of a job that was recovered", 60)
    spans = receiver.trace(trace_id)
    recover, send, attempt = (one(spans, name) for name in ("recover", "send chore.gate", "process chore.gate"))
    assert (recover.service, recover.kind, recover.parent_id) == (REAPER, "INTERNAL", send.span_id)
    assert recover.attributes["messaging.message.id"] == job["id"]
    assert recover.attributes["millstream.job.reason"] == "lease_expired"
    assert recover.attributes["messaging.client.id"] == killed
    assert recover.attributes["millstream.job.delivery"] == 1
    assert attempt.links == recover.links == [(trace_id, recover.links[0][1])]
    assert attempt.parent_id == send.span_id
    assert attempt.attributes["millstream.job.attempt"] == 1
    assert attempt.attributes["millstream.job.delivery"] == 2


async def test_child_job_continues_the_trace_of_its_parent(client, http, receiver, folder, trace_id, traceparent):
    """The PRODUCER span of a child is below the span of its parent's handler."""
    job = await submit(http, traceparent, "chore.parent", {"folder": str(folder)})
    child = await client.result(job["id"], 60)
    await client.result(child, 60)
    receiver.wait_until(lambda: len(receiver.trace(trace_id)) == 7, "the spans of both jobs", 60)
    [root] = receiver.tree(trace_id)
    below = ("send chore.count", [("process chore.count", [("count", [])])])
    handler = ("parent", [below])
    assert root.names() == ("POST /v1/jobs", [("send chore.parent", [("process chore.parent", [handler])])])
    assert (await client.get(child)).trace_id == trace_id


async def test_redriven_job_goes_on_in_its_trace(client, http, receiver, trace_id, traceparent):
    """A redrive is a span in the trace of its job, with links to the attempt and, both ways, to the request."""
    job = await submit(http, traceparent, "chore.closed")
    await client.wait(job["id"], 60)
    assert (await client.redrive(ids=[job["id"]])).done == 1
    await client.wait(job["id"], 60)
    receiver.wait_until(lambda: len(receiver.trace(trace_id)) == 7, "two attempts and a redrive", 60)
    spans = receiver.trace(trace_id)
    redrive, send = one(spans, "redrive"), one(spans, "send chore.closed")
    first, second = [span for span in spans if span.kind == "CONSUMER"]
    assert (redrive.service, redrive.kind, redrive.parent_id) == (INGEST, "INTERNAL", send.span_id)
    last, (asked_in, asked_by) = redrive.links
    assert last == (trace_id, first.span_id)
    receiver.wait_until(lambda: receiver.trace(asked_in), "the request of the operator", 60)
    request = one(receiver.trace(asked_in), "POST /v1/dead/redrive")
    assert (request.span_id, request.links) == (asked_by, [(trace_id, redrive.span_id)])
    assert second.links == [(trace_id, first.span_id)]


async def test_probes_and_metrics_make_no_spans(http, receiver, trace_id, traceparent):
    """Probes and scrapes make no spans."""
    headers = {"traceparent": traceparent}
    for path in ("/health", "/livez", "/readyz", "/metrics", "/v1/queues"):
        assert (await http.get(path, headers=headers)).status_code == 200
    # A process exports its spans in the order in which they ended.
    receiver.wait_until(lambda: receiver.trace(trace_id), "the span of the last request", 60)
    assert [span.name for span in receiver.trace(trace_id)] == ["GET /v1/queues"]


async def test_polling_and_heartbeats_make_no_spans(system, receiver, client, folder):
    """Every span belongs to a request or a job, and periodic work makes none."""
    job = await client.submit("chore.count", {"folder": str(folder)})
    await job.result(60)
    await wait_until(lambda: notes(folder, "done"), "the job has run")
    strangers = [
        span.name
        for span in receiver.spans
        if span.kind != "SERVER"
        and "messaging.message.id" not in span.attributes
        and not span.parent_id
        # The call of a batch handler belongs to all of its jobs, to which it has links.
        and not span.links
        # An occasion of a schedule of the examples, which may come meanwhile, is the root of its job's trace.
        and not span.name.startswith("fire ")
    ]
    assert strangers == []
