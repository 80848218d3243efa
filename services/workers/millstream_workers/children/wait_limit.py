"""Keeps a slot of the worker free of handlers that wait for jobs.

A handler that waits for a child holds its slot. If all slots of all workers were held so, no child could run, and none
of the waits would end: each worker lets one handler less wait than it has slots.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from millstream import UnavailableError
from millstream_workers.attempt.running import Running
from millstream_workers.children.refusals import problem


class WaitLimit:
    """Counts the handlers that wait. Lives on the event loop."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._waits: Counter[Running] = Counter()
        """How many jobs each handler waits for."""

    @contextmanager
    def waiting(self, running: Running) -> Iterator[None]:
        """Count a handler as waiting. Raises: UnavailableError, when it would wait in the last slot."""
        if running not in self._waits and len(self._waits) >= self._slots - 1:
            raise UnavailableError(problem(503, "a handler cannot wait here", self._why()))
        self._waits[running] += 1
        try:
            yield
        finally:
            self._waits[running] -= 1
            if not self._waits[running]:
                del self._waits[running]

    def _why(self) -> str:
        if self._slots == 1:
            return "it would hold the only slot of its worker, in which the job that it waits for may have to run"
        return (
            f"{len(self._waits)} of the {self._slots} slots of its worker are held by handlers that wait for jobs, "
            "and the last one is kept for the jobs that they wait for"
        )
