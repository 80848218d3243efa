"""What the workers that are alive can run, by job type."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from millstream_contracts import WorkerInfo


class Slots(Struct, frozen=True):
    """How many jobs some workers can run at once, and how many they run. Workers share their slots among types."""

    workers: int = 0
    slots: int = 0
    busy: int = 0

    @property
    def percent(self) -> int:
        """Return how much of the slots is busy."""
        return min(100, round(100 * self.busy / self.slots)) if self.slots else 0

    @property
    def is_full(self) -> bool:
        """Whether no slot is free."""
        return bool(self.slots) and self.busy >= self.slots

    def with_one(self, worker: WorkerInfo) -> "Slots":
        """Return these, and those of a worker."""
        return Slots(self.workers + 1, self.slots + worker.concurrency, self.busy + worker.busy)


NO_SLOTS = Slots()


def slots_by_type(workers: Sequence[WorkerInfo]) -> Mapping[str, Slots]:
    """Return the slots of the workers that take jobs of each type; those that drain take none."""
    found: dict[str, Slots] = {}
    for worker in taking(workers):
        for job_type in worker.types:
            found[job_type] = found.get(job_type, NO_SLOTS).with_one(worker)
    return found


def all_slots(workers: Iterable[WorkerInfo]) -> Slots:
    """Return the slots of all workers that take jobs."""
    total = NO_SLOTS
    for worker in taking(workers):
        total = total.with_one(worker)
    return total


def taking(workers: Iterable[WorkerInfo]) -> list[WorkerInfo]:
    """Return the workers that take jobs: those that do not drain."""
    return [worker for worker in workers if worker.state != "draining"]
