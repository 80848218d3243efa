"""Makes several requests at once, so that a page waits for the slowest of them and not for their sum."""

from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

import anyio

T = TypeVar("T")


class Later(Generic[T]):
    """What a request answers, once the block that began it has ended."""

    def __init__(self) -> None:
        self._values: list[T] = []

    @property
    def value(self) -> T:
        """Return the answer."""
        return self._values[0]

    def put(self, value: T) -> None:
        """Take the answer."""
        self._values.append(value)


class AtOnce:
    """`async with AtOnce() as reads: queues = reads.begin(client.queues())`; afterwards `queues.value`.

    The block raises what the first of them raises; the others are cancelled.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._tasks = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        self._stack.enter_context(_first_error())
        await self._stack.enter_async_context(self._tasks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    def begin(self, read: Awaitable[T]) -> Later[T]:
        """Begin a request."""
        later = Later[T]()

        async def run() -> None:
            later.put(await read)

        self._tasks.start_soon(run)
        return later


@contextmanager
def _first_error() -> Iterator[None]:
    """Raise one error out of a group: several requests may be refused before the others are cancelled."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
