"""Job ids: sortable, unique without coordination, and they say where the job lives.

A job id is ``<type>_<partition, 2 hex digits><26 characters>``; the last part is a UUIDv7 in Crockford's
base32, so ids of one queue sort by creation time and a look-up by id needs no index.

Source: RFC 9562 section 5.7 (UUIDv7); https://www.crockford.com/base32.html.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import NewType

from msgspec import Struct

JobId = NewType("JobId", str)
JobType = NewType("JobType", str)
Tenant = NewType("Tenant", str)

DEFAULT_TENANT = Tenant("default")

# One pattern for tenants and job types. It has no `_`, `/`, `{` or `}`: those separate the parts of ids and
# keys, and a brace would move the hash slot of a Redis Cluster.
PUBLISHED_NAME_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,63}$"
"""For the readers of schemas, whose `$` is the very end. RE2 and Rust know no look-ahead."""

# In Python `$` also matches before a last newline, which the look-ahead forbids.
NAME_PATTERN = PUBLISHED_NAME_PATTERN + r"(?!\n)"

_ID_PATTERN = re.compile(r"([a-z0-9][a-z0-9.-]{0,63})_([0-9a-f]{2})[0-7][0-9A-HJKMNP-TV-Z]{25}")

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# One digit of each random byte, by its last five bits: `bytes.translate` makes sixteen at once, where arithmetic on
# the number took six times as long.
_DIGITS = "".join(_CROCKFORD[byte & 31] for byte in range(256)).encode()
_TIME_SHIFTS = tuple(range(45, -1, -5))
# Two digits are not all random: one begins with the version, 0111, and one has the variant, 10, in its middle.
_VERSION_DIGITS = "".join(_CROCKFORD[0b01110 | (byte & 1)] for byte in range(256))
_VARIANT_DIGITS = "".join(_CROCKFORD[0b01000 | (byte & 0b10011)] for byte in range(256))

_ENTROPY_BYTES = 16
_DRAWN_AT_ONCE = 256
# What is random in the next ids, as digits: asking the system and spelling it for each id alone takes twice as long
# all the rest. Taking from a list is one step also among threads; a forked child draws its own.
_drawn: list[str] = []
os.register_at_fork(after_in_child=_drawn.clear)


class Queue(Struct, frozen=True, order=True):
    """A tenant's job type's partition: the unit that lives in one Redis Cluster slot."""

    tenant: Tenant
    type: JobType
    partition: int = 0

    @property
    def tag(self) -> str:
        """Return ``tenant/type/pp``, the text inside the hash tag of every key of this queue."""
        return f"{self.tenant}/{self.type}/{self.partition:02x}"

    @classmethod
    def from_tag(cls, tag: str) -> "Queue":
        """Return the queue a :attr:`tag` names. Raises: ValueError."""
        tenant, job_type, partition = tag.split("/")
        return cls(Tenant(tenant), JobType(job_type), int(partition, 16))


def new_job_id(queue: Queue, at_ms: int | None = None) -> JobId:
    """Return a fresh id for a job of this queue, made at this time: Unix ms by the clock of Redis, or else our own."""
    try:
        drawn = _drawn.pop()
    except IndexError:
        drawn = _draw()
    made_at_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    return JobId(f"{queue.type}_{queue.partition:02x}{_time_digits(made_at_ms)}{drawn}")


def derived_job_id(queue: Queue, at_ms: int, digest: bytes) -> JobId:
    """Return the id of a job that follows from what it is for: its time and 16 bytes, the same ones each time."""
    return JobId(f"{queue.type}_{queue.partition:02x}{_time_digits(at_ms)}{_digits_of(digest)}")


def _digits_of(block: bytes) -> str:
    """Return 16 bytes as the last digits of an id."""
    digits = block.translate(_DIGITS).decode()
    return _VERSION_DIGITS[block[0]] + digits[1:3] + _VARIANT_DIGITS[block[3]] + digits[4:]


def _draw() -> str:
    """Draw the random digits of many ids at once. Returns: those of one, given out once."""
    block = os.urandom(_ENTROPY_BYTES * _DRAWN_AT_ONCE)
    digits = block.translate(_DIGITS).decode()
    first, *others = [
        _VERSION_DIGITS[block[at]] + digits[at + 1 : at + 3] + _VARIANT_DIGITS[block[at + 3]] + digits[at + 4 : at + 16]
        for at in range(0, len(block), _ENTROPY_BYTES)
    ]
    _drawn.extend(others)
    return first


@lru_cache(maxsize=8)
def _time_digits(milliseconds: int) -> str:
    return "".join([_CROCKFORD[(milliseconds >> shift) & 31] for shift in _TIME_SHIFTS])


def made_at_ms(job_id: JobId) -> int:
    """Return when an id was made, Unix ms by the clock of its maker. Raises: ValueError, for what is no job id."""
    return _time_of(job_id.rpartition("_")[2][2 : 2 + len(_TIME_SHIFTS)])


# The jobs of a batch share few times.
@lru_cache(maxsize=4096)
def _time_of(digits: str) -> int:
    return sum(_CROCKFORD.index(digit) << shift for digit, shift in zip(digits, _TIME_SHIFTS, strict=True))


def queue_of(tenant: Tenant, job_id: str) -> Queue | None:
    """Return the queue in which a tenant's job of this id lives, or None when it is no job id."""
    match = _ID_PATTERN.fullmatch(job_id)
    if match is None:
        return None
    return Queue(tenant, JobType(match[1]), int(match[2], 16))


def ids_by_queue(tenant: Tenant, ids: Iterable[str]) -> dict[Queue, list[JobId]]:
    """Return the ids of a tenant's jobs by their queues, each once; what is no job id is in none."""
    found: defaultdict[Queue, list[JobId]] = defaultdict(list)
    for text in dict.fromkeys(ids):
        if queue := queue_of(tenant, text):
            found[queue].append(JobId(text))
    return found
