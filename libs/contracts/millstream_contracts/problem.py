"""Errors as answers: RFC 9457 problem details.

Source: RFC 9457; RFC 6901 for the pointers.
"""

from collections.abc import Sequence

from msgspec import Struct, field

MAX_TOLD_ERRORS = 3


class FieldError(Struct, frozen=True, omit_defaults=True):
    """What is wrong with one field of a request."""

    pointer: str
    """JSON Pointer into the request body, or `?name` for a query parameter, `#/query/name` for a place in one, and
    `Name:` for a header."""
    detail: str
    position: int | None = None
    """In a text that has a grammar: where the fault begins, in characters from 0."""
    end: int | None = None
    """The first character after the fault."""
    hint: str = ""
    """What may have been meant."""


class Problem(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why a request was refused."""

    type: str
    """URL of the page that explains this problem."""
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    trace_id: str = ""
    errors: list[FieldError] = []
    violated_policies: list[str] = field(default_factory=list, name="violated-policies")
    """The limits that the request is over, by their names in `RateLimit-Policy`."""


def told(errors: Sequence[FieldError]) -> str:
    """Return the first errors of a refusal as one line, for clients that show nothing else."""
    shown = [": ".join(filter(None, (error.pointer, error.detail))) for error in errors[:MAX_TOLD_ERRORS]]
    if more := len(errors) - len(shown):
        shown.append(f"and {more} more")
    return "; ".join(shown)
