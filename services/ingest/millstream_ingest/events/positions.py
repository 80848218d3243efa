"""Where the reader of live events is in each queue, and which queues are to be read at all."""

from collections import Counter
from collections.abc import Iterable

from millstream_contracts import Queue

Scope = tuple[str | int, ...]
"""What the (tenant, type, partition) of some queues begins with."""


class Positions:
    """The positions. A queue is read from the moment on at which its first reader asked for it."""

    def __init__(self) -> None:
        self.scopes: dict[Scope, int] = {}
        """The scopes that are asked for, and since when: Unix ms by the clock of Redis."""
        self.by_queue: dict[Queue, str] = {}
        """The last entry that was read of each queue, or the one before the first."""
        self._askers: Counter[Scope] = Counter()

    def want(self, scope: Scope, since_ms: int) -> None:
        """Ask for the events of a scope from a moment on."""
        self._askers[scope] += 1
        self.scopes.setdefault(scope, since_ms)

    def unwant(self, scope: Scope) -> None:
        """Take back what was asked for once."""
        self._askers[scope] -= 1
        if not self._askers[scope]:
            del self._askers[scope], self.scopes[scope]

    def arrange(self, queues: Iterable[Queue]) -> None:
        """Choose, of all queues, those that are asked for; a queue that is read already goes on where it is."""
        wanted = {queue: since for queue in queues if (since := self._since(queue)) is not None}
        self.by_queue = {queue: self.by_queue.get(queue, f"{since}-0") for queue, since in wanted.items()}

    def move(self, queue: Queue, position: str) -> None:
        """Note the last entry that was read."""
        if position and queue in self.by_queue:
            self.by_queue[queue] = position

    def _since(self, queue: Queue) -> int | None:
        whole = (queue.tenant, queue.type, queue.partition)
        return min((since for size in (1, 2, 3) if (since := self.scopes.get(whole[:size])) is not None), default=None)


def is_in(queue: Queue, scope: Scope) -> bool:
    """Return whether a queue is in a scope."""
    return (queue.tenant, queue.type, queue.partition)[: len(scope)] == scope
