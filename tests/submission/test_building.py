"""A job that was just stored is answered without asking Redis, and the answer is what Redis would have said."""

from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from streams.seeds import fields_of

from millstream_contracts import DEFAULT_TENANT, Job, JobState, TypePolicy, moment
from millstream_streams import Broker
from millstream_submission import JSON, build_job, decode_submission, stored_job
from millstream_telemetry import NO_TRACE, JobTracer, TraceContext

FAR_S = 3600.0
CALLER = TraceContext(f"00-{'ab' * 16}-{'cd' * 8}-01", "vendor=1")
FUTURE, FAR_FUTURE, PAST = "2032-01-02T03:04:05.678Z", "2032-02-02T03:04:05.678Z", "2020-01-02T03:04:05.678Z"

SUBMISSIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "all else": {
        "payload": {"to": ["ada"]},
        "priority": "low",
        "key": "a customer: 100 % of /é/",
        "max_attempts": 7,
        "timeout_s": 2.5,
        "tags": {"customer": "42"},
        "backoff": {"kind": "constant", "base_s": 3.0},
    },
    "delay": {"delay_s": FAR_S},
    "no delay": {"delay_s": 0.0},
    "run at": {"run_at": FUTURE},
    "run at once": {"run_at": PAST},
    "expiry": {"expires_at": FUTURE},
    "expiry in": {"expires_in_s": FAR_S},
    "delay and expiry": {"delay_s": FAR_S, "expires_at": FUTURE},
    "delay and expiry in": {"delay_s": FAR_S, "expires_in_s": 2 * FAR_S},
    "run at and expiry": {"run_at": FUTURE, "expires_at": FAR_FUTURE},
    "run at once and expiry in": {"run_at": PAST, "expires_in_s": FAR_S},
}


async def submitted(broker: Broker, fields: dict[str, Any], caller: TraceContext = NO_TRACE) -> tuple[Job, Job | None]:
    """Store a job as an endpoint does. Returns: what it would answer, and what Redis shows."""
    await broker.look_at_clock()
    body = msgspec.json.encode({"type": "email.send", **fields})
    decoded = decode_submission(body, JSON, clock=broker.clock.now_s)
    tracer = JobTracer(TracerProvider(shutdown_on_exit=False))
    built = build_job(tracer, DEFAULT_TENANT, decoded, TypePolicy(), caller=caller, clock=broker.clock.now_s)
    (enqueued,) = await broker.store.enqueue(built.queue, [built.job])
    return stored_job(built, enqueued), await broker.views.job(built.queue, built.job.id)


@pytest.mark.parametrize("name", SUBMISSIONS)
async def test_a_job_is_answered_as_a_read_shows_it(broker: Broker, name: str) -> None:
    """Each field has the same value, times to the millisecond: a client takes the answer for the job."""
    answered, shown = await submitted(broker, SUBMISSIONS[name])
    assert answered == shown


@pytest.mark.parametrize(
    ("fields", "caller", "is_of_caller"),
    [
        ({}, NO_TRACE, False),
        ({}, CALLER, True),
        ({"delay_s": 60.0}, CALLER, True),
        ({"delay_s": FAR_S}, CALLER, False),
        ({"run_at": FUTURE}, CALLER, False),
    ],
)
async def test_a_job_that_runs_soon_is_in_the_trace_of_its_caller(
    broker: Broker, fields: dict[str, Any], caller: TraceContext, is_of_caller: bool
) -> None:
    """One that waits for long has a trace of its own, and the answer names the one that the job has."""
    answered, shown = await submitted(broker, fields, caller)
    assert answered == shown
    assert answered.trace_id
    assert (answered.trace_id == "ab" * 16) is is_of_caller


@pytest.mark.parametrize("waited", [False, True])
async def test_a_hint_is_sent_for_a_job_whose_submitter_waits(broker: Broker, waited: bool) -> None:
    """A hint is asked for with the job itself: without it the submitter would hear of the end two seconds late."""
    decoded = decode_submission(b'{"type": "email.send"}', JSON)
    tracer, clock = JobTracer(None), broker.clock.now_s
    built = build_job(tracer, DEFAULT_TENANT, decoded, TypePolicy(), caller=NO_TRACE, waited=waited, clock=clock)
    await broker.store.enqueue(built.queue, [built.job])
    assert ("waited" in await fields_of(broker, built.queue, built.job.id)) is waited


async def test_a_job_that_is_due_in_this_very_moment_is_what_redis_made_of_it(broker: Broker) -> None:
    """The clock of Redis goes on between the submission and the script, which alone says whether a job has to wait."""
    states = set[JobState]()
    for number in range(300):
        await broker.look_at_clock()
        run_at = moment(int(broker.clock.now_s() * 1000) + number % 6)
        answered, shown = await submitted(broker, {"run_at": run_at})
        assert answered == shown
        states.add(answered.state)
    assert states == {JobState.QUEUED, JobState.SCHEDULED}
