"""Checks what scripts keep true of unique keys, beside what `audit` checks of every queue."""

import re
import time

from msgspec import Struct
from streams.audit import Hash, Snapshot

from millstream_contracts import Queue
from millstream_streams import Broker

_ENDED = (b"dead", b"cancelled", b"expired")
_FIELD = re.compile(rb"(queued|running|window) ([0-9a-f]+) (\d+) (\d+) (\S*)")
_PATIENCE_MS = 1000
"""How much earlier than its window the time of a record, or that of a result, may end: both are whole milliseconds of
different moments.
"""


class Claim(Struct, frozen=True):
    """What the hash of a job says of its unique key."""

    scope: str
    digest: str
    taken_at: int
    held_until: int

    @classmethod
    def of(cls, fields: Hash) -> "Claim | None":
        """Return the claim of a job; None of one without a key, or with a field that nothing can read."""
        found = _FIELD.fullmatch(fields.get("unique", b""))
        return found and cls(found[1].decode(), found[2].decode(), int(found[3]), int(found[4]))


class Record(Struct, frozen=True):
    """What Redis has of one key."""

    job_id: str
    ttl_ms: int
    """-1 without an end."""


def holds(fields: Hash, now_ms: float) -> bool:
    """Return whether a job holds its key, by the rules of docs/unique.md."""
    claim = Claim.of(fields)
    if claim is None or fields["state"] in _ENDED:
        return False
    if claim.scope == "window":
        return now_ms < claim.held_until
    if fields["state"] == b"succeeded":
        return False
    deliveries = int(fields.get("deliveries", 0)) or int("started_at" in fields)
    return claim.scope != "queued" or deliveries == claim.taken_at


async def audit_unique(broker: Broker, queue: Queue, snapshot: Snapshot) -> dict[str, str]:
    """Return the job that holds each key, by digest. Raises: AssertionError with each violation in words.

    No two jobs hold one key, each that holds one has the record of it, and a record of a job that has ended is gone.
    `snapshot` is of the same moment.
    """
    records, now_ms = await _records(broker, queue, snapshot), time.time() * 1000
    complaints, holders = _leaked(records, snapshot), dict[str, str]()
    for job_id, fields in snapshot.jobs.items():
        claim = Claim.of(fields)
        if claim is None:
            continue
        record, state = records.get(claim.digest), fields["state"].decode()
        if holds(fields, now_ms):
            if other := holders.get(claim.digest):
                complaints.append(f"{job_id} and {other} hold one unique key")
            holders[claim.digest] = job_id
            complaints += _misrecorded(job_id, claim, record, snapshot.ttl_ms[job_id], now_ms)
        elif record is not None and record.job_id == job_id and _has_ended(claim, fields):
            complaints.append(f"{job_id} is {state}, and its key is not free")
    assert not complaints, "\n".join(complaints)
    return holders


def _has_ended(claim: Claim, fields: Hash) -> bool:
    """Return whether a job has ended in such a way that its key is free."""
    return fields["state"] in _ENDED or (fields["state"] == b"succeeded" and claim.scope != "window")


def _misrecorded(job_id: str, claim: Claim, record: Record | None, ttl_ms: int, now_ms: float) -> list[str]:
    """Report a job that holds its key and has no record of that, or one that ends at another time."""
    if record is None or record.job_id != job_id:
        return [f"{job_id} holds a key whose record is {record}"]
    if claim.scope != "window":
        return [] if record.ttl_ms == -1 else [f"{job_id} holds its key to its end, and the record ends before"]
    left = claim.held_until - now_ms
    if not abs(record.ttl_ms - left) <= _PATIENCE_MS:
        return [f"the window of {job_id} ends in {left} ms, and its record in {record.ttl_ms}"]
    if 0 <= ttl_ms < left - _PATIENCE_MS:
        return [f"the window of {job_id} ends in {left} ms, and it can be read for {ttl_ms} only"]
    return []


def _leaked(records: dict[str, Record], snapshot: Snapshot) -> list[str]:
    """Report records that name no job, or one that has never had the key: no end will remove them."""
    complaints = []
    for digest, record in records.items():
        fields = snapshot.jobs.get(record.job_id)
        claim = Claim.of(fields) if fields else None
        if claim is None or claim.digest != digest:
            complaints.append(f"the record of the key {digest} names {record.job_id}, which has no such key")
    return complaints


async def _records(broker: Broker, queue: Queue, snapshot: Snapshot) -> dict[str, Record]:
    prefix = broker.keys.of(queue).unique_prefix
    digests = [name.removeprefix(prefix) for name in snapshot.names if name.startswith(prefix)]
    pipeline = broker.client.pipeline(transaction=False)
    for digest in digests:
        pipeline.get(prefix + digest)
        pipeline.pttl(prefix + digest)
    found = await pipeline.execute() if digests else []
    return {
        digest: Record(found[2 * at].decode(), found[2 * at + 1])
        for at, digest in enumerate(digests)
        if found[2 * at] is not None
    }
