"""Finds the jobs whose ids are most like one that no job has: it was cut, or mistyped in its random part."""

import re
from datetime import datetime, timedelta

from millstream import ApiError, Client
from millstream_contracts import JobId, made_at_ms, moment

MOST_NEAR = 3
MAX_DIFFERENT = 3
"""Characters in which a whole id may differ from another."""

_LOOKED_AT = 100
_PARTIAL = re.compile(r"([a-z0-9][a-z0-9.-]{0,63})_([0-9a-f]{2})([0-9A-Z]{4,26})")
_TIME_DIGITS = 10
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011")
"""What people take for a digit, as Crockford's base 32 reads it."""
_LAST_MS = 253_402_300_799_999
"""The end of the calendar."""


async def near_ids(client: Client, typed: str) -> list[JobId]:
    """Return the ids of jobs that begin as what was typed, or differ little from it; none without a history."""
    head, _, tail = typed.strip().rpartition("_")
    found = _PARTIAL.fullmatch(f"{head.lower()}_{tail[:2].lower()}{tail[2:].upper().translate(_READ_AS)}")
    if found is None or not set(found[3]) <= set(_ALPHABET):
        return []
    begin, end = _times_of(found[3])
    try:
        page = await client.jobs(type=found[1], created_after=begin, created_before=end, limit=_LOOKED_AT)
    except ApiError:
        return []
    text = found[0]
    differing = sorted((different(job.id, text), job.id) for job in page.items)
    return [job_id for count, job_id in differing if count <= MAX_DIFFERENT][:MOST_NEAR]


def different(job_id: str, typed: str) -> int:
    """Return in how many characters an id differs from what was typed; what is missing at its end counts nothing."""
    return sum(one != other for one, other in zip(job_id, typed, strict=False)) + max(0, len(typed) - len(job_id))


def _times_of(digits: str) -> tuple[datetime, datetime]:
    """Return the time that an id names by its first digits, from and to; of fewer digits it is a longer one."""
    known = digits[:_TIME_DIGITS]
    first, last = (made_at_ms(JobId(f"00{known.ljust(_TIME_DIGITS, digit)}")) for digit in "0Z")
    begin, end = moment(min(first, _LAST_MS)), moment(min(last, _LAST_MS))
    return begin, end + timedelta(milliseconds=1) if last < _LAST_MS else end
