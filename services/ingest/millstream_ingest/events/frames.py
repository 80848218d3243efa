"""Writes events as frames of Server-Sent Events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import random
import re

import msgspec

from millstream_contracts import Event, JobTransition, LiveEvent, Queue, moment

MEDIA_TYPE = "text/event-stream"
JOB, GAP = "job", "gap"
"""The names of the events."""

GAP_FRAME = b"event: gap\ndata: {}\n\n"
"""Says that events are missing here: what the client has of the jobs may be out of date."""

RETRY_MS = 2_000
"""The mean time after which a client connects again; drawn anew for each, so that they do not come together."""

_ID = re.compile(r"(\d{1,15})-(\d{1,20})")
_encode = msgspec.json.Encoder().encode


def job_frame(queue: Queue, event: Event, job: JobTransition) -> bytes:
    """Return the frame of what happened to one job."""
    told = LiveEvent(
        id=job.id,
        type=queue.type,
        kind=event.kind,
        state=job.state,
        version=job.version,
        at=moment(event.at_ms),
        worker=event.worker or None,
        detail=job.detail or None,
    )
    # The id is a time, so it says where to go on in the stream of any queue.
    return b"id: %s\nevent: job\ndata: %s\n\n" % (event.entry.encode(), _encode(told))


def first_lines(since_ms: int) -> bytes:
    """Return what a response begins with: when the client shall come back after its end, and where it is now."""
    return b"retry: %d\nid: %d-0\n\n" % (round(RETRY_MS * random.uniform(0.5, 1.5)), since_ms)


def sign_of_life(seen_ms: int) -> bytes:
    """Return what says, where nothing happens, that all until this moment was sent. It is no event for a client."""
    return b":\nid: %d-0\n\n" % seen_ms


def time_of(event_id: str) -> int | None:
    """Return the Unix ms in the id of a frame; None for a text that is no such id."""
    found = _ID.fullmatch(event_id)
    return int(found[1]) if found else None
