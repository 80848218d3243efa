"""The errors that handlers get from their children: those of the clients, so that code need not know where it runs.

They are a problem each, and cross to handler processes as that.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct

from millstream import ApiError, ConflictError, InvalidError, JobNotFoundError, UnavailableError, WaitTimeoutError
from millstream_contracts import FieldError, Problem
from millstream_streams import StoreError


class InvalidChildError(InvalidError):
    """A handler submits a job that the API would refuse."""

    # Errors of jobs are stored with the names of their types: this one keeps the name that it has had.
    __module__ = "millstream_workers.child_jobs"

    @property
    def errors(self) -> list[FieldError]:
        """The wrong fields, as the API would name them."""
        return self.problem.errors


class Refusal(Struct, frozen=True):
    """An error as it crosses to a handler process."""

    kind: str
    problem: Problem


_KINDS: Mapping[str, Callable[[Problem], Exception]] = {
    "invalid": InvalidChildError,
    "missing": JobNotFoundError,
    "conflict": ConflictError,
    "unavailable": UnavailableError,
    "timeout": lambda problem: WaitTimeoutError(problem.title),
    "failed": ApiError,
}


def refusal_of(error: Exception) -> Refusal:
    """Return an error as it crosses to a handler process."""
    if isinstance(error, WaitTimeoutError):
        return Refusal("timeout", problem(504, str(error)))
    if not isinstance(error, ApiError):
        return Refusal("failed", problem(500, "the worker failed", f"{type(error).__name__}: {error}"))
    kind = next(kind for kind, made in _KINDS.items() if isinstance(made, type) and isinstance(error, made))
    return Refusal(kind, error.problem)


def error_of(refusal: Refusal) -> Exception:
    """Return the error that crossed."""
    return _KINDS[refusal.kind](refusal.problem)


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn a Redis that is away or full into the error that clients raise for a service that is."""
    try:
        yield
    except StoreError as error:
        raise UnavailableError(problem(503, "Redis cannot be used now", str(error))) from error


def problem(status: int, title: str, detail: str = "", errors: list[FieldError] = []) -> Problem:  # noqa: B006 - read only
    """Return a problem without a page of its own."""
    return Problem(type="about:blank", title=title, status=status, detail=detail, errors=errors)
