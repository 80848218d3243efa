"""Shows what is wrong with a query at the place where it is wrong."""

import re

from msgspec import Struct

from millstream import ApiError

_SUGGESTED = re.compile(r"did you mean `([^`]+)`")


class QueryFault(Struct, frozen=True):
    """A query in three parts, and what is wrong with the middle one."""

    before: str
    wrong: str
    after: str
    sentence: str
    hint: str
    """What may have been meant, in words."""
    begin: int
    end: int
    better: str | None = None
    """The query with the suggestion in the place of what is wrong; None without one."""
    suggestion: str = ""


def fault_of(q: str, error: ApiError) -> QueryFault:
    """Return what a refusal says about a query."""
    fault = next(iter(error.problem.errors), None)
    begin = fault.position if fault and fault.position is not None else 0
    end = fault.end if fault and fault.end is not None else len(q)
    hint = fault.hint if fault else ""
    suggested = _SUGGESTED.search(hint)
    return QueryFault(
        before=q[:begin],
        wrong=q[begin:end],
        after=q[end:],
        sentence=_sentence(fault.detail if fault else error.problem.detail),
        hint="" if suggested else hint,
        begin=begin,
        end=end,
        better=q[:begin] + suggested[1] + q[end:] if suggested else None,
        suggestion=suggested[1] if suggested else "",
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else "It means nothing."
