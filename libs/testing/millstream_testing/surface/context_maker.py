"""Makes contexts for tests that call a handler's function themselves."""

from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec

from millstream.context import BaseContext
from millstream.seconds import Seconds, in_seconds
from millstream_contracts import DEFAULT_TENANT, JobId, JobSpec, JobType, Queue, new_job_id
from millstream_streams import Delivery
from millstream_telemetry import NO_TRACE, Attempt
from millstream_testing.memory.stored_job import NIL
from millstream_testing.running.parts import RunnerParts
from millstream_testing.virtual_clock import VirtualClock
from millstream_workers.attempt.running import Running

C = TypeVar("C", bound=BaseContext[Any])

A_TYPE = "test.call"
"""The job type of a context, unless the test says another."""


class ContextOptions(TypedDict, total=False):
    """What a context says of its delivery."""

    attempt: int
    fence: int
    """By default the number of the attempt."""
    job_id: str
    type: str
    timeout: Seconds
    tags: Mapping[str, str]


def make_context(
    kind: type[C], parts: RunnerParts, clock: VirtualClock, *, state: Any, **options: Unpack[ContextOptions]
) -> C:
    """Return a context of a job that no queue has. What its handler submits is stored."""
    job_type, attempt = options.get("type", A_TYPE), options.get("attempt", 1)
    spec = JobSpec(payload=msgspec.Raw(NIL), created_at_ms=clock.now_ms, tags=dict(options.get("tags", {})))
    queue = Queue(DEFAULT_TENANT, JobType(job_type))
    job_id = JobId(options.get("job_id", new_job_id(queue, clock.now_ms)))
    running = Running(_delivery(queue, job_id, spec, clock))
    return kind(
        job_id=job_id,
        job_type=job_type,
        attempt=attempt,
        fence=options.get("fence", attempt),
        spec=spec,
        timeout_s=in_seconds(options.get("timeout")),
        state=state,
        submitter=parts.parents.parent(running, Attempt(NO_TRACE)),
        on_progress=lambda _: None,
    )


def _delivery(queue: Queue, job_id: JobId, spec: JobSpec, clock: VirtualClock) -> Delivery:
    """Return the delivery that a context is about."""
    return Delivery(
        queue=queue,
        id=job_id,
        spec=spec,
        priority_index=2,
        entry="",
        token="",
        attempts=0,
        deliveries=1,
        crashes=0,
        ready_at_ms=clock.now_ms,
        claimed_at_ms=clock.now_ms,
    )
