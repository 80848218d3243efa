"""Reads the stored fields of a job, also unreadable ones: one such job must not stop the others."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from itertools import repeat
from typing import Any

import msgspec

from millstream_contracts import (
    UNDECODABLE,
    BackoffOptions,
    Event,
    EventKind,
    JobError,
    JobId,
    JobSpec,
    JobTransition,
    Progress,
    moment,
)

# Stands for a spec that was broken, or written by a release that this one does not understand. No handler can decode
# its payload either, so the job is left to another release, or buried with a clear reason.
UNREADABLE = JobSpec(payload=msgspec.Raw(b""), created_at_ms=0)


class KnownSpec(JobSpec, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A spec of which this release knows every field."""

    backoff: BackoffOptions | None = None


class NewerSpec(JobSpec, frozen=True, array_like=True):
    """A spec with fields of a newer release, which may change how the job is run."""


_decode_known = msgspec.msgpack.Decoder(KnownSpec).decode
_decode_newer = msgspec.msgpack.Decoder(NewerSpec).decode
_KINDS = {kind.encode(): kind for kind in EventKind}
_decode_error = msgspec.msgpack.Decoder(JobError).decode
_decode_progress = msgspec.msgpack.Decoder(Progress).decode
_decode_runs = msgspec.msgpack.Decoder(list[int]).decode
_decode_errors = msgspec.msgpack.Decoder(list[JobError | None]).decode
_ARRAY_32 = b"\xdd"
"""The head of a MessagePack array, before the number of its values."""
Run = tuple[int | None, int | None]
_NO_RUN: Run = (None, None)
_STARTED = EventKind.STARTED.encode()
_decode_transitions = msgspec.msgpack.Decoder(list[Any]).decode


def read_spec(blob: bytes | None) -> JobSpec:
    """Return a job's spec, or :data:`UNREADABLE`; a :class:`NewerSpec` if this release does not know every field."""
    try:
        return _decode_known(blob or b"")
    except UNDECODABLE:
        pass
    try:
        return _decode_newer(blob or b"")
    except UNDECODABLE:
        return UNREADABLE


def read_error(blob: bytes | None) -> JobError | None:
    """Return the error of a failed attempt; None without one, or for an unreadable one."""
    try:
        return _decode_error(blob) if blob else None
    except UNDECODABLE:
        return None


def read_progress(blob: bytes | None) -> Progress | None:
    """Return the progress of a handler; None without one, or for an unreadable one."""
    try:
        return _decode_progress(blob) if blob else None
    except UNDECODABLE:
        return None


def read_event(entry: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """Return an entry of an event stream, as `append_event` in _moves.lua writes it. Raises: KeyError, ValueError."""
    state, detail = fields[b"state"].decode(), fields[b"detail"].decode()
    # Three values a job in one list: id, version, deliveries.
    rows = list(zip(*[iter(_decode_transitions(fields[b"jobs"]))] * 3, strict=True))
    return Event(
        entry=entry.decode(),
        kind=_KINDS.get(fields[b"kind"]) or fields[b"kind"].decode(),
        at_ms=int(fields[b"at"]),
        worker=fields[b"worker"].decode(),
        jobs=_transitions(fields, _check_transitions(rows), state, detail),
    )


def _transitions(
    fields: Mapping[bytes, bytes], rows: list[tuple[str, int, int]], state: str, detail: str
) -> list[JobTransition]:
    """Return the jobs of an event. Most events have no errors, and many no runs."""
    runs, errors = _read_runs(fields.get(b"runs"), len(rows)), _read_errors(fields.get(b"errors"), len(rows))
    if runs is None and errors is None:
        return [JobTransition(JobId(job_id), version, state, number, detail) for job_id, version, number in rows]
    found = zip(rows, runs or repeat(_NO_RUN), errors or repeat(None), strict=False)
    if fields[b"kind"] == _STARTED:
        return [
            JobTransition(JobId(job_id), version, state, number, detail, attempt, ms, None, error)
            for (job_id, version, number), (attempt, ms), error in found
        ]
    return [
        JobTransition(JobId(job_id), version, state, number, detail, attempt, None, ms, error)
        for (job_id, version, number), (attempt, ms), error in found
    ]


def _read_runs(blob: bytes | None, jobs: int) -> list[Run] | None:
    """Return the attempt of each job, and its wait or run; None for an event without them, or of another form."""
    if blob:
        with suppress(*UNDECODABLE, ValueError):
            values = [None if value < 0 else value for value in _decode_runs(blob)]
            runs: list[Run] = list(zip(*[iter(values)] * 2, strict=True))
            if len(runs) == jobs:
                return runs
    return None


def _read_errors(blob: bytes | None, jobs: int) -> list[JobError | None] | None:
    """Return the error of each job, from values that stand one behind the other; None without a readable list."""
    if blob:
        with suppress(*UNDECODABLE):
            errors = _decode_errors(_ARRAY_32 + jobs.to_bytes(4, "big") + blob)
            if len(errors) == jobs:
                return errors
    return None


def _check_transitions(rows: list[Any]) -> list[tuple[str, int, int]]:
    return msgspec.convert(rows, list[tuple[str, int, int]])


def read_int(text: bytes | int | None) -> int:
    """Return a stored number; 0 for a text that is none, or is beyond 64 bits, as responses could not show it."""
    try:
        number = int(text or 0)
    except ValueError:
        return 0
    return number if -(1 << 63) <= number < 1 << 63 else 0


def read_wait(reply: bytes | int) -> int | None:
    """Return the ms until something is due, of a script's reply; None when nothing waits."""
    wait_ms = int(reply)
    return None if wait_ms < 0 else wait_ms


def read_time(text: bytes | int | None) -> datetime | None:
    """Return stored Unix milliseconds as a time in UTC; None for other texts and times beyond the calendar."""
    try:
        return moment(int(text)) if text else None
    except (ValueError, OverflowError, OSError):
        return None


def read_text(text: bytes | None) -> str | None:
    """Return a stored text, with a mark in place of bytes that are no UTF-8; None for none."""
    return text.decode(errors="replace") if text else None


def read_value(blob: bytes | msgspec.Raw) -> Any:
    """Return a stored payload or result for display; None when it cannot be read."""
    try:
        return msgspec.msgpack.decode(blob)
    except UNDECODABLE:
        return None
