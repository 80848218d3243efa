"""The queues of each job type of each tenant: a type may be split into several."""

from collections.abc import Iterable, Iterator

from millstream_contracts import JobType, Queue, Tenant

Owner = tuple[Tenant, JobType]


class Partitions:
    """Queues, by the tenant and the type that they are of."""

    def __init__(self, queues: Iterable[Queue] = ()) -> None:
        self._queues: dict[Owner, set[Queue]] = {}
        self.add(queues)

    def __iter__(self) -> Iterator[list[Queue]]:
        """Yield the queues of each type of each tenant."""
        return (sorted(queues) for queues in self._queues.values())

    def add(self, queues: Iterable[Queue]) -> None:
        """Have these queues as well."""
        for queue in queues:
            self._queues.setdefault((queue.tenant, queue.type), set()).add(queue)

    def remove(self, queues: Iterable[Queue]) -> None:
        """Have these queues no more."""
        for queue in queues:
            owner = (queue.tenant, queue.type)
            left = self._queues.pop(owner, set()) - {queue}
            if left:
                self._queues[owner] = left

    def beside(self, queue: Queue) -> list[Queue]:
        """Return all partitions of the tenant and type of a queue, itself among them if it is here."""
        return sorted(self._queues.get((queue.tenant, queue.type), ()))
