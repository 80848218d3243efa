"""Job ids: sortable, unique without coordination, and they say where the job lives.

A job id is ``<type>_<partition, 2 hex digits><26 characters>``; the last part is a UUIDv7 in Crockford's
base32, so ids of one queue sort by creation time and a look-up by id needs no index.

Source: RFC 9562 section 5.7 (UUIDv7); https://www.crockford.com/base32.html.
"""

import os
import re
import time
from typing import NewType

from msgspec import Struct

JobId = NewType("JobId", str)
JobType = NewType("JobType", str)
Tenant = NewType("Tenant", str)

DEFAULT_TENANT = Tenant("default")

# One pattern for tenants and job types. It has no `_`, `/`, `{` or `}`: those separate the parts of ids and
# keys, and a brace would move the hash slot of a Redis Cluster.
# In Python `$` also matches before a last newline; the lookahead forbids that and means the same in ECMAScript.
NAME_PATTERN = r"^[a-z0-9][a-z0-9.-]{0,63}$(?!\n)"

_ID_PATTERN = re.compile(r"([a-z0-9][a-z0-9.-]{0,63})_([0-9a-f]{2})[0-7][0-9A-HJKMNP-TV-Z]{25}")

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Ten bits, two digits at a time: 2 us an id, where base64.b32encode takes 10.
_PAIRS = [high + low for high in _CROCKFORD for low in _CROCKFORD]
_SHIFTS = tuple(range(120, -1, -10))

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A = 0xFFF << 64
_RANDOM_B = (1 << 62) - 1


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


def new_job_id(queue: Queue) -> JobId:
    """Return a fresh id for a job of this queue."""
    entropy = int.from_bytes(os.urandom(10), "big")
    milliseconds = time.time_ns() // 1_000_000
    uuid7 = (milliseconds << 80) | _VERSION_7 | (entropy & _RANDOM_A) | _VARIANT | (entropy & _RANDOM_B)
    digits = "".join([_PAIRS[(uuid7 >> shift) & 0x3FF] for shift in _SHIFTS])
    return JobId(f"{queue.type}_{queue.partition:02x}{digits}")


def queue_of(tenant: Tenant, job_id: str) -> Queue | None:
    """Return the queue in which a tenant's job of this id lives, or None when it is no job id."""
    match = _ID_PATTERN.fullmatch(job_id)
    if match is None:
        return None
    return Queue(tenant, JobType(match[1]), int(match[2], 16))
