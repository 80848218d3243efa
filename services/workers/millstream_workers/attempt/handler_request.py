"""Reads an outcome request of a handler: Snooze, RetryAfter, Discard or Dead, or a suspension, raised as an exception.

Users subclass these. A subclass of `Discard` with an `__init__` of its own may have no `reason`, and a property may
raise: the readable parts of the request hold, and `unread` names the others.
"""

import math
from datetime import timedelta
from typing import Literal, get_args

from msgspec import Struct, structs

from millstream import Dead, Discard, RetryAfter, Snooze
from millstream.durable.suspension import Suspended
from millstream_contracts import JobError, JobId, SnoozeGate, limits
from millstream_telemetry import type_name
from millstream_workers.attempt.failure import printable
from millstream_workers.errors import RemoteError

_MAX_NESTED = 10
"""Groups of one exception that may surround a request: task groups wrap what their tasks raise."""

_exceptions_of = BaseExceptionGroup.__dict__["exceptions"].__get__


class HandlerRequest(Struct, frozen=True):
    """The outcome that a handler requests."""

    kind: Literal["retry_after", "snooze", "suspend", "discard", "dead"]
    delay_ms: int | None = None
    """The delay of retry_after, snooze and suspend; None when it cannot be read."""
    reason: str = ""
    """The reason of discard and dead."""
    unread: str = ""
    """The unreadable parts, and why."""
    signal: str = ""
    """Of suspend: the signal that the job waits for; empty for a sleep."""
    jobs: tuple[JobId, ...] = ()
    """Of suspend: the jobs that it waits for."""
    gate: SnoozeGate | None = None
    """Of snooze: what else does not start until then."""


class RemoteRequest(RemoteError):  # noqa: N818 - a request
    """An outcome request of a handler with `isolation="process"`."""

    def __init__(self, request: HandlerRequest, error: JobError, frames: str = "") -> None:
        super().__init__(error, frames)
        self.request = request


def read_request(error: BaseException) -> HandlerRequest | None:
    """Return the outcome request in an exception; None when the exception is just a failure. Never raises."""
    error = innermost(error)
    if type(error) is RemoteRequest:
        return error.request
    if type(error) is Suspended:
        return HandlerRequest("suspend", delay_ms=error.after_ms, signal=error.signal, jobs=error.jobs)
    return _request_of(error)


def _request_of(error: BaseException) -> HandlerRequest | None:
    kind = type(error)
    if issubclass(kind, RetryAfter):
        return _delayed("retry_after", error)
    if issubclass(kind, Snooze):
        return structs.replace(_delayed("snooze", error), gate=_gate(error))
    if issubclass(kind, Discard):
        return HandlerRequest("discard", reason=_reason(error))
    if issubclass(kind, Dead):
        return HandlerRequest("dead", reason=_reason(error))
    return None


def innermost(error: BaseException) -> BaseException:
    """Return the only exception in groups of one; a group of several as it is."""
    inner = error
    for _ in range(_MAX_NESTED):
        if not issubclass(type(inner), BaseExceptionGroup):
            return inner
        members = _exceptions_of(inner)
        if len(members) != 1:
            return error
        inner = members[0]
    return error


def _delayed(kind: Literal["retry_after", "snooze"], error: BaseException) -> HandlerRequest:
    try:
        return HandlerRequest(kind, delay_ms=_ms(error.delay_s))  # type: ignore[attr-defined]
    except BaseException as failure:  # noqa: BLE001 - an attribute of a user's class may be anything
        return HandlerRequest(kind, unread=f"`delay_s` of {type_name(error)} cannot be read: {_said(failure)}")


def _gate(error: BaseException) -> SnoozeGate | None:
    """Return what a snooze holds back. A subclass without a call to the constructor of `Snooze` may have none."""
    gates: tuple[SnoozeGate, ...] = get_args(SnoozeGate)
    try:
        return next((gate for gate in gates if gate == error.gate), None)  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - an attribute of a user's class may be anything
        return None


def _ms(delay_s: object) -> int:
    """Return milliseconds; 0 for what is no positive number. Raises: anything, when it is no number at all."""
    seconds = delay_s.total_seconds() if isinstance(delay_s, timedelta) else float(delay_s)  # type: ignore[arg-type]
    if math.isnan(seconds) or seconds <= 0:
        return 0
    return round(min(seconds, limits.MAX_DELAY_S) * 1000)


def _reason(error: BaseException) -> str:
    try:
        return printable(error.reason)  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - an attribute of a user's class may be anything
        # Without a call to the constructor of the base, Python still has kept what it was called with.
        return printable(error) or type_name(error)


def _said(failure: BaseException) -> str:
    return f"{type_name(failure)}: {printable(failure)}"
