"""Where the events of one job go: the callback that a submission names."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from millstream_contracts.event import EventKind

MAX_URL_CHARS = 2_048


class JobEvent(StrEnum):
    """What happens to a job, as webhooks and callbacks name it."""

    SUBMITTED = "submitted"
    STARTED = "started"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DEAD = "dead"
    REDRIVEN = "redriven"


ENDS = (JobEvent.SUCCEEDED, JobEvent.DEAD, JobEvent.CANCELLED, JobEvent.EXPIRED)
"""The events with which a job settles: what an endpoint or a callback gets unless it names others."""

LAST_EVENTS = frozenset({EventKind.SUCCEEDED, EventKind.CANCELLED, EventKind.EXPIRED})
"""The kinds after which nothing happens to a job any more. A dead job may be redriven."""


class Callback(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which events of one job go to which URL."""

    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL_CHARS)]
    events: Annotated[list[JobEvent], Meta(min_length=1, max_length=len(JobEvent))] = field(
        default_factory=lambda: list(ENDS)
    )
