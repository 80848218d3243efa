"""What a new installation shows: the command that submits its first job, and a button that does it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from millstream import Client, JobHandle, TypeRegistration
from millstream_console.pages.queues.condition import held
from millstream_console.reading.kept import is_remembered, kept, remember
from millstream_console.reading.past import Absence, unless_absent
from millstream_contracts import Page, QueueStatus, Stats

FIRST_CHOICE = "demo.hello"
PAYLOADS: Mapping[str, Any] = {"report.generate": {"rows": [{"city": "Oslo", "sold": 3}]}}
"""Payloads of built-in types, for where no type of its own needs none."""

EVER_S = 2.0

_HAD_ONE = "has had a job"
_ANY_JOB = "created:>2000-01-01"


async def is_first_run(client: Client, queues: Sequence[QueueStatus], stats: Stats | Absence) -> bool:
    """Return whether no job was ever submitted. Without a history: since the console started."""
    if any(held(queue) or queue.dead for queue in queues) or _has_submitted(stats) or await _has_any(client):
        remember(client, _HAD_ONE)
    return not is_remembered(client, _HAD_ONE)


async def submit_first(client: Client, job_type: str) -> JobHandle[Any]:
    """Submit a job, after which it is no first run any more. Raises: ApiError."""
    job = await client.submit(job_type, PAYLOADS.get(job_type))
    remember(client, _HAD_ONE)
    return job


class FirstJob(Struct, frozen=True):
    """A job that a new installation can run."""

    type: str
    payload: Any = None

    @property
    def body(self) -> str:
        """Return the submission in JSON."""
        return json.dumps({"type": self.type, **({"payload": self.payload} if self.payload is not None else {})})


def first_job(types: Sequence[TypeRegistration]) -> FirstJob | None:
    """Return a job that needs no payload, or whose payload is known; None where there is none."""
    fitting = [one.type for one in types if _takes_nothing(one.payload_schema)]
    known = [one.type for one in types if one.type in PAYLOADS]
    chosen = FIRST_CHOICE if FIRST_CHOICE in fitting else next(iter((*fitting, *known)), None)
    return FirstJob(chosen, PAYLOADS.get(chosen)) if chosen else None


def _takes_nothing(schema: Mapping[str, Any] | None) -> bool:
    return schema is None or schema.get("type") == "null"


def _has_submitted(stats: Stats | Absence) -> bool:
    return not isinstance(stats, Absence) and any(point.submitted for point in stats.points)


async def _has_any(client: Client) -> bool:
    if is_remembered(client, _HAD_ONE):
        return True
    found = await kept(client, "any job", EVER_S, lambda: unless_absent(client.jobs(_ANY_JOB, limit=1)))
    return isinstance(found, Page) and bool(found.items)
