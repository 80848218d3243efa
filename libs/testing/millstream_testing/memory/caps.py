"""Whether a submission of a client is above the cap of its type, or of its key, in memory: the rules of enqueue.lua."""

from millstream_contracts import Queue
from millstream_streams import EnqueueCode, Enqueued, NewJob
from millstream_testing.memory.limits_of_types import TypeLimits
from millstream_testing.memory.waiting_jobs import WaitingJobs


def above_a_cap(gate: TypeLimits, waiting: WaitingJobs, queue: Queue, new: NewJob, now_ms: int) -> Enqueued | None:
    """Return the answer for a job for which its type, or its key, has no room; None where it has.

    What is scheduled counts for the type, and not for the key.
    """
    cap = gate.limits.cap if gate.limits else None
    key_cap = gate.limits.per_key.cap if gate.limits and gate.limits.per_key else None
    if cap is not None:
        count = gate.running + waiting.count(lambda job: job.queue.type == queue.type, with_scheduled=True)
        if count >= cap:
            wait_ms = gate.ms_for(count - cap + 1, now_ms)
            return Enqueued(EnqueueCode.FULL, new.id, now_ms, retry_after_ms=wait_ms)
    if key_cap is not None and new.key:
        mine = queue.type, new.key
        held = waiting.count(lambda job: (job.queue.type, job.key) == mine, with_scheduled=False)
        count = gate.running_of(new.key) + held
        if count >= key_cap:
            wait_ms = gate.ms_for(count - key_cap + 1, now_ms)
            return Enqueued(EnqueueCode.KEY_FULL, new.id, now_ms, retry_after_ms=wait_ms)
    return None
