"""Lets a single error out of the groups that structured concurrency puts it in."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise what the block raises, a group of one error as that error. Works around `async with` blocks as well."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise single_error(group) from None


def single_error(error: BaseException) -> BaseException:
    """Return the one error that is in a group, however deep; a group of several as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
