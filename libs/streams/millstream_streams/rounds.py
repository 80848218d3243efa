"""One action on every queue, such that one bad queue does not keep the others waiting."""

from collections.abc import Awaitable, Callable, Iterable

from millstream_contracts import Queue
from millstream_streams.errors import StoreError, StoreUnavailableError


async def for_each_queue(queues: Iterable[Queue], action: Callable[[Queue], Awaitable[None]]) -> None:
    """Do something on each queue in turn.

    Raises: StoreUnavailableError at once, for without Redis there is no point in going on, unless it is one node of
    several; any other StoreError at the end, the first one.
    """
    first: StoreError | None = None
    for queue in queues:
        try:
            await action(queue)
        except StoreUnavailableError as error:
            if not error.others_may_answer:
                raise
            first = first or error
        except StoreError as error:
            first = first or error
    if first is not None:
        raise first
