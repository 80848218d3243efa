"""Reads the stored fields of a job, also unreadable ones: one such job must not stop the others."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import repeat
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from millstream_codec import CodecCode, Sealed, content_of, is_coded, marked, unmarked, unpacked
from millstream_contracts import (
    UNDECODABLE,
    BackoffOptions,
    BreakerState,
    Event,
    EventKind,
    JobError,
    JobId,
    JobSpec,
    JobTransition,
    JobUnique,
    KeptLines,
    Progress,
    StoredStep,
    UniqueScope,
    moment,
)

T = TypeVar("T")

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
_decode_lines = msgspec.msgpack.Decoder(list[KeptLines | None]).decode
_ARRAY_32 = b"\xdd"
"""The head of a MessagePack array, before the number of its values."""
Run = tuple[int | None, int | None]
_NO_RUN: Run = (None, None)
_STARTED = EventKind.STARTED.encode()
_decode_transitions = msgspec.msgpack.Decoder(list[Any]).decode
_decode_values = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.msgpack.Encoder().encode
_decode_anything = msgspec.msgpack.Decoder().decode


def read_spec(blob: bytes | None) -> JobSpec:
    """Return a job's spec, or :data:`UNREADABLE`; a :class:`NewerSpec` if this release does not know every field.

    The payload is as it is stored: see :func:`opened`.
    """
    spec = unmarked(blob or b"")
    try:
        return _decode_known(spec)
    except UNDECODABLE:
        pass
    try:
        return _decode_newer(spec)
    except UNDECODABLE:
        return UNREADABLE


def coded_spec(spec: bytes, write: Callable[[bytes], bytes]) -> bytes:
    """Return what is stored of a plain spec when `write` makes of its payload what is stored of that."""
    payload, *rest = _decode_values(spec)
    coded = write(bytes(payload))
    return marked(_encode([msgspec.Raw(coded), *rest])) if is_coded(coded) else spec


def with_payload(spec: bytes, payload: bytes) -> bytes:
    """Return a stored spec with another payload, one plain MessagePack value; fields of a newer release stay.

    Raises: msgspec.DecodeError, for a spec that cannot be read.
    """
    return _encode([msgspec.Raw(payload), *_decode_values(unmarked(spec))[1:]])


def coded_field(value: bytes, write: Callable[[bytes], bytes]) -> bytes:
    """Return what is stored in a field of a value, when `write` makes of the value what is stored of that."""
    coded = write(value)
    return marked(coded) if is_coded(coded) else coded


def opened(value: bytes | msgspec.Raw) -> bytes:
    """Return a stored payload or result, one MessagePack value; one that is encrypted as it is. Raises: CodecError."""
    return unpacked(unmarked(bytes(value)))


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
    lines = _read_lines(fields.get(b"lines"), len(rows))
    if runs is None and errors is None and lines is None:
        return [JobTransition(JobId(job_id), version, state, number, detail) for job_id, version, number in rows]
    found = zip(rows, runs or repeat(_NO_RUN), errors or repeat(None), lines or repeat(None), strict=False)
    if fields[b"kind"] == _STARTED:
        return [
            JobTransition(JobId(job_id), version, state, number, detail, attempt, ms, None, error)
            for (job_id, version, number), (attempt, ms), error, _ in found
        ]
    return [
        JobTransition(JobId(job_id), version, state, number, detail, attempt, None, ms, error, kept)
        for (job_id, version, number), (attempt, ms), error, kept in found
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
    """Return the error of each job; None without a readable list."""
    return _read_values(_decode_errors, blob, jobs)


def _read_lines(blob: bytes | None, jobs: int) -> list[KeptLines | None] | None:
    """Return the log lines of each job; None without a readable list."""
    return _read_values(_decode_lines, blob, jobs)


def _read_values(decode: Callable[[bytes], list[T]], blob: bytes | None, jobs: int) -> list[T] | None:
    """Return the value of each job, from values that stand one behind the other; None without a readable list."""
    if blob:
        with suppress(*UNDECODABLE):
            values = decode(_ARRAY_32 + jobs.to_bytes(4, "big") + blob)
            if len(values) == jobs:
                return values
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


def read_job_id(raw: bytes) -> JobId:
    """Return a job id; of what something else has written, an id that no job has."""
    return JobId(raw.decode(errors="replace"))


def read_steps(fields: Mapping[bytes, bytes]) -> dict[str, StoredStep]:
    """Return the steps of a job from their hash, the oldest first; without those that cannot be read."""
    found: list[tuple[str, StoredStep]] = []
    for name, stored in fields.items():
        if name:  # the nameless field counts them
            with suppress(ValueError):
                found.append((name.decode(), StoredStep.read(stored)))
    return dict(sorted(found, key=lambda one: one[1].at_ms))


def read_wait(reply: bytes | int) -> int | None:
    """Return the ms until something is due, of a script's reply; None when nothing waits."""
    wait_ms = int(reply)
    return None if wait_ms < 0 else wait_ms


_BREAKER = dict(enumerate(BreakerState))


def read_breaker(reply: int) -> BreakerState | None:
    """Return the state of a circuit breaker, of measure.lua; None without one."""
    return _BREAKER.get(reply)


def read_time(text: bytes | int | None) -> datetime | None:
    """Return stored Unix milliseconds as a time in UTC; None for other texts and times beyond the calendar."""
    try:
        return moment(int(text)) if text else None
    except (ValueError, OverflowError, OSError):
        return None


def read_text(text: bytes | None) -> str | None:
    """Return a stored text, with a mark in place of bytes that are no UTF-8; None for none."""
    return text.decode(errors="replace") if text else None


def read_unique(text: bytes | None) -> JobUnique | None:
    """Return the unique key of a job, as _unique.lua writes it; None without one, or for a garbled one."""
    parts = (read_text(text) or "").split(" ")
    if len(parts) != 5 or parts[0] not in _SCOPES:
        return None
    return JobUnique(key=unquote(parts[4]), scope=_SCOPES[parts[0]], until=read_time(_some(parts[3])))


def _some(number: str) -> bytes:
    return b"" if number == "0" else number.encode()


_SCOPES: dict[str, UniqueScope] = {"queued": "queued", "running": "running", "window": "window"}


def read_value(blob: bytes | msgspec.Raw) -> Any:
    """Return a stored payload or result for display; None when it cannot be read, Sealed when it is encrypted."""
    try:
        value = opened(blob)
        if not is_coded(value):
            return _decode_anything(value)
        code, content = content_of(value)
        return Sealed(content) if code == CodecCode.SEALED else None
    except UNDECODABLE:
        return None
