"""The faults that a test has planned: crashes and duplicate deliveries."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from millstream_testing.errors import TestingError

CrashPoint = Literal["start", "end"]
Fault = Literal["start", "end", "twice"]
"""The worker dies before the handler begins, or after it has ended and before the commit; or it loses its lease there,
and wakes up when another worker has run the job.
"""


class Faults:
    """What is to happen to the next deliveries of each job type."""

    def __init__(self) -> None:
        self._planned: dict[str, list[Fault]] = {}

    def take(self, job_type: str) -> Fault | None:
        """Return what happens to the delivery that begins now."""
        planned = self._planned.get(job_type)
        return planned.pop(0) if planned else None

    @contextmanager
    def plan(self, job_type: str, fault: Fault, times: int) -> Iterator[None]:
        """Have a fault happen to the next deliveries. Raises: TestingError, when not all of them came."""
        planned = self._planned.setdefault(job_type, [])
        before = len(planned)
        planned += [fault] * times
        yield
        if left := len(planned) - before:
            del planned[before:]
            raise TestingError(f"{left} of {times} planned faults of `{job_type}` did not happen: no such job ran")
