"""The faults that a test has planned: crashes and duplicate deliveries."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeVar

from millstream_streams import Delivery
from millstream_testing.errors import TestingError

CrashPoint = Literal["start", "end", "step"]
Fault = Literal["start", "end", "twice"]
"""The worker dies before the handler begins, or after it has ended and before the commit; or it loses its lease there,
and wakes up when another worker has run the job.
"""

T = TypeVar("T")


class Faults:
    """What is to happen to the next deliveries of each job type, and to their steps."""

    def __init__(self) -> None:
        self._planned: dict[str, list[Fault]] = {}
        self._steps: dict[str, list[str | None]] = {}
        """The steps that the worker does not live to store; None for the next one, whichever it is."""
        self._lost: set[str] = set()
        """The tokens of the deliveries whose worker died in a step."""

    def take(self, job_type: str) -> Fault | None:
        """Return what happens to the delivery that begins now."""
        planned = self._planned.get(job_type)
        return planned.pop(0) if planned else None

    def lose_at(self, delivery: Delivery, step: str) -> bool:
        """Return whether the worker of a delivery dies now that a step has ended, or is dead already."""
        planned = self._steps.get(delivery.queue.type)
        if planned and planned[0] in {None, step} and not self.is_lost(delivery):
            planned.pop(0)
            self._lost.add(delivery.token)
        return self.is_lost(delivery)

    def is_lost(self, delivery: Delivery) -> bool:
        """Return whether the worker of a delivery died in a step."""
        return delivery.token in self._lost

    def crash(self, job_type: str, at: CrashPoint, step: str | None, times: int) -> AbstractContextManager[None]:
        """Have the worker die. Raises: ValueError; TestingError, when not all of the faults came."""
        if at == "step":
            came = f"no such job reached {'a step' if step is None else f'the step `{step}`'}"
            return _planned(self._steps.setdefault(job_type, []), step, times, job_type, came)
        if step is not None:
            raise ValueError('a crash has a `step` only with `at="step"`')
        return self.plan(job_type, at, times)

    def plan(self, job_type: str, fault: Fault, times: int) -> AbstractContextManager[None]:
        """Have a fault happen to the next deliveries. Raises: TestingError, when not all of them came."""
        return _planned(self._planned.setdefault(job_type, []), fault, times, job_type, "no such job ran")


@contextmanager
def _planned(planned: list[T], fault: T, times: int, job_type: str, why: str) -> Iterator[None]:
    before = len(planned)
    planned += [fault] * times
    yield
    if left := len(planned) - before:
        del planned[before:]
        raise TestingError(f"{left} of {times} planned faults of `{job_type}` did not happen: {why}")
