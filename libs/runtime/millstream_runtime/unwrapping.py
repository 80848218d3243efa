"""Takes a single error out of the exception groups of structured concurrency."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the error of the block, and a group of one error as that error. Also for `async with` blocks inside."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise single_error(group) from None


def single_error(error: BaseException) -> BaseException:
    """Return the only error of a group, at any depth; a group of several is returned as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
