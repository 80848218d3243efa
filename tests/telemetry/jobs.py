"""A job, its trace contexts and its deliveries for the tests of spans."""

from typing import Any

from millstream_telemetry import JobTracer, PastDelivery, TraceContext
from millstream_telemetry.tracing.attempt_span import Attempt

JOB_TYPE, JOB_ID = "email.send", "email.send_001"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = TraceContext(f"00-{TRACE}-{SPAN}-01", "vendor=1")
UNSAMPLED = TraceContext(f"00-{TRACE}-{SPAN}-00", "vendor=1")


def attempt_of(tracer: JobTracer, stored: TraceContext = SAMPLED, *, delivery: int = 1, **more: Any) -> Attempt:
    """Return an attempt of the job, by default the first one."""
    return tracer.attempt(JOB_TYPE, JOB_ID, stored, attempt=1, delivery=delivery, **more)


def past(delivery: int = 1, stored: TraceContext = SAMPLED, worker: str = "w1") -> PastDelivery:
    """Return an ended delivery of the job."""
    return PastDelivery(
        job_type=JOB_TYPE, job_id=JOB_ID, tenant="acme", stored=stored, delivery=delivery, worker=worker
    )
