"""Reads jobs for the history: as they are now, those of one queue by their ids."""

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from millstream_contracts import Job, JobId, Queue
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import translating
from millstream_streams.reading.views import job_from_fields, read_hashes
from millstream_streams.store.keys import Keys
from millstream_streams.store.specs import read_int

_JOBS_AT_ONCE = 100


class Snapshots(Struct, frozen=True):
    """Jobs as they are now."""

    jobs: dict[JobId, Job]
    waited_ms: dict[JobId, int]
    """How long each was ready before its last delivery, unless it is ready again."""
    gone: frozenset[JobId]
    """Those of the jobs that Redis does not have."""
    size_bytes: int
    """The size of all stored fields of the jobs."""


async def read_snapshots(client: Client, keys: Keys, queue: Queue, ids: Sequence[JobId]) -> Snapshots:
    """Return those of these jobs that Redis has. Raises: StoreUnavailableError, StoreError."""
    of_queue = keys.of(queue)
    jobs: dict[JobId, Job] = {}
    waited_ms: dict[JobId, int] = {}
    gone: set[JobId] = set()
    size_bytes = 0
    # A slice at a time: reading thousands of jobs at once would hold the event loop.
    for start in range(0, len(ids), _JOBS_AT_ONCE):
        some = ids[start : start + _JOBS_AT_ONCE]
        hashes = await translating(partial(read_hashes, client, [of_queue.job(job_id) for job_id in some]))
        for job_id, fields in zip(some, hashes, strict=True):
            size_bytes += sum(map(len, fields.values()))
            if not fields:
                gone.add(job_id)
            if job := job_from_fields(queue, job_id, fields):
                jobs[job_id] = job
                ready_ms, started_ms = read_int(fields.get(b"ready_at")), read_int(fields.get(b"started_at"))
                if 0 < ready_ms <= started_ms:
                    waited_ms[job_id] = started_ms - ready_ms
    return Snapshots(jobs, waited_ms, frozenset(gone), size_bytes)
