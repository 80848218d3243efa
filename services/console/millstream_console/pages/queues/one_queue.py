"""One queue: what is wrong with it, its numbers and charts, how its jobs are run and by which workers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from markupsafe import Markup

from millstream import Client, JobNotFoundError, TypeRegistration, WorkerInfo
from millstream_console.drawing.json_tree import json_tree
from millstream_console.live.view import Content, View
from millstream_console.pages.queues import policy_words
from millstream_console.pages.queues.condition import LATE_S, ready, state_of
from millstream_console.pages.queues.trouble import trouble_of
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.errors import error_of, message_of, place_of
from millstream_console.reading.fleet import NO_SLOTS, slots_by_type
from millstream_console.reading.flow import throughput_chart, waiting_chart
from millstream_console.reading.kept import kept
from millstream_console.reading.past import Absence, absence_of
from millstream_console.reading.ranges import CHOICES, DEFAULT_RANGE, RANGES, Range
from millstream_console.reading.statistics import (
    read_dead_groups,
    read_stats,
    recent_flow,
)
from millstream_console.web.visit import Visit
from millstream_contracts import DeadGroups, JobState, Stats

MOST_RUNNING, MOST_GROUPS, MOST_WORKERS = 8, 5, 12
REGISTRATION_S = 5.0


async def read_queue(client: Client, *, job_type: str, span: str) -> Content:
    """Return what one queue shows. Raises: JobNotFoundError, ApiError."""
    chosen, now = RANGES[span], datetime.now(UTC)
    async with AtOnce() as reads:
        queue = reads.begin(client.queue(job_type))
        workers = reads.begin(client.workers())
        registration = reads.begin(kept(client, ("type", job_type), REGISTRATION_S, lambda: _type(client, job_type)))
        running = reads.begin(client.jobs(type=job_type, state=JobState.RUNNING, limit=MOST_RUNNING))
        hour = reads.begin(read_stats(client, RANGES[DEFAULT_RANGE], job_type))
        ranged = reads.begin(read_stats(client, chosen, job_type))
        groups = reads.begin(read_dead_groups(client, job_type))
    slots = slots_by_type(workers.value).get(job_type, NO_SLOTS)
    flow = recent_flow(hour.value, now)
    return {
        "queue": queue.value,
        "state": state_of(queue.value, has_worker=bool(slots.workers)),
        "trouble": trouble_of(queue.value, slots, flow),
        "flow": flow,
        "slots": slots,
        "workers": _handling(workers.value, job_type)[:MOST_WORKERS],
        "running": running.value.items,
        "charts": _charts(ranged.value, chosen, now),
        "groups": groups.value.items[:MOST_GROUPS] if isinstance(groups.value, DeadGroups) else [],
        "absence": absence_of(ranged.value, groups.value),
        "registration": registration.value,
        "schema": _schema(registration.value),
        "span": span,
        "spans": CHOICES,
        **_WORDS,
    }


QUEUE = View("queue.html", read_queue, "queues")

_WORDS: Content = {
    "ready": ready,
    "late_s": LATE_S,
    "policy": policy_words,
    "error_of": error_of,
    "message_of": message_of,
    "place_of": place_of,
}


@get("/queues/{job_type:str}")
async def show_queue(visit: Visit, job_type: FromPath[str]) -> Response[Any]:
    """Show one queue."""
    return await visit.show(QUEUE, job_type=job_type, span=visit.choice("range", tuple(RANGES), DEFAULT_RANGE))


async def _type(client: Client, job_type: str) -> TypeRegistration | None:
    try:
        return await client.job_type(job_type)
    except JobNotFoundError:
        # Jobs may be submitted before the first worker that handles their type.
        return None


def _handling(workers: Sequence[WorkerInfo], job_type: str) -> list[WorkerInfo]:
    return sorted((one for one in workers if job_type in one.types), key=lambda one: (-one.busy, one.name))


def _charts(stats: Stats | Absence, span: Range, now: datetime) -> list[Markup]:
    if isinstance(stats, Absence):
        return []
    return [
        throughput_chart("Flow", stats, span, now, shows_failures=True),
        waiting_chart("Waiting and running", stats, span, now),
    ]


def _schema(registration: TypeRegistration | None) -> Markup | None:
    if registration is None or registration.payload_schema is None:
        return None
    return json_tree(registration.payload_schema, "Schema of the payload")


HANDLERS = (show_queue,)
