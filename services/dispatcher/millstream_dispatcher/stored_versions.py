"""Knows which state of a job the history has, for the events of a job come several at a time, and in several batches.

The state of a job is read when the first of its events is stored, and is often the last one by then. The other events
up to that version add transitions alone: the job is neither read again, nor written.
"""

import time
from collections.abc import Collection, Mapping

from millstream_contracts import EventKind, Job, JobId, Queue, QueueEvents

MOST_KNOWN = 50_000
KNOWN_FOR_S = 30.0
"""A history that is emptied by hand is believed to have its jobs for no longer than twice this time."""

_FAILURES = frozenset({EventKind.RETRYING, EventKind.DEAD})

Versions = Mapping[Queue, Mapping[JobId, int]]
"""Versions of jobs that a batch stores, by queue."""


class StoredVersions:
    """The versions of the jobs that were stored last."""

    def __init__(self) -> None:
        self._young: dict[Queue, dict[JobId, int]] = {}
        self._old: dict[Queue, dict[JobId, int]] = {}
        self._count = 0
        self._turned_at = time.monotonic()

    def add(self, stored: Versions) -> None:
        """Take these versions as stored."""
        if self._count > MOST_KNOWN or time.monotonic() > self._turned_at + KNOWN_FOR_S:
            self._old, self._young, self._count, self._turned_at = self._young, {}, 0, time.monotonic()
        for queue, versions in stored.items():
            self._young.setdefault(queue, {}).update(versions)
            self._count += len(versions)

    def clear(self) -> None:
        """Know nothing: the database may be another one by now."""
        self._young, self._old, self._count = {}, {}, 0

    def told_by(self, batch: QueueEvents, before: Versions) -> Collection[JobId]:
        """Return the jobs of these events that the history has in the state of the last of them, or in a later one.

        `before` are versions that are stored before this batch.
        """
        known = [found for one in (before, self._young, self._old) if (found := one.get(batch.queue))]
        if not known:
            return ()
        told, untold = set[JobId](), set[JobId]()
        for event in batch.events:
            is_failure = event.kind in _FAILURES
            for job in event.jobs:
                # The error of an event that has none is that of the job.
                needs_error = is_failure and job.error is None
                is_stored = not needs_error and any(found.get(job.id, 0) >= job.version for found in known)
                (told if is_stored else untold).add(job.id)
        return told - untold


def versions_of(jobs: Mapping[JobId, Job]) -> dict[JobId, int]:
    """Return the versions of jobs."""
    return {job_id: job.version for job_id, job in jobs.items()}
