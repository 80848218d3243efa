"""The overview: what needs a person, six numbers, charts, queues, errors, operations; and the first run."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from markupsafe import Markup

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.operations import telling
from millstream_console.pages.overview.attention import MOST_NEEDS, Scene, needs_of
from millstream_console.pages.overview.first_run import first_job, is_first_run, submit_first
from millstream_console.pages.overview.numbers import Figure, live_figures, past_figures
from millstream_console.pages.queues.condition import LATE_S, held, ready
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.errors import error_of, message_of, place_of
from millstream_console.reading.fleet import Slots, all_slots, slots_by_type
from millstream_console.reading.flow import throughput_chart, waiting_chart
from millstream_console.reading.incidents import read_incidents
from millstream_console.reading.past import Absence, absence_of, unless_absent
from millstream_console.reading.ranges import CHOICES, DEFAULT_RANGE, RANGES, Range
from millstream_console.reading.statistics import (
    NO_FLOW,
    TypeFlow,
    flows,
    read_by_type,
    read_day,
    read_dead_groups,
    read_stats,
)
from millstream_console.web.visit import Visit
from millstream_contracts import BulkOperation, DeadGroups, JobType, QueueStatus, ScheduleState, Scope, Stats

MOST_QUEUES, MOST_GROUPS, MOST_OPERATIONS, MOST_ORPHANS = 7, 5, 5, 50


async def read_overview(client: Client, *, span: str) -> Content:
    """Return what the overview shows, with charts of a range."""
    chosen, now = RANGES[span], datetime.now(UTC)
    async with AtOnce() as reads:
        queues = reads.begin(client.queues())
        workers = reads.begin(client.workers())
        incidents = reads.begin(read_incidents(client))
        hour = reads.begin(read_stats(client, RANGES[DEFAULT_RANGE]))
        ranged = hour if span == DEFAULT_RANGE else reads.begin(read_stats(client, chosen))
        day = reads.begin(read_day(client))
        by_type = reads.begin(read_by_type(client))
        groups = reads.begin(read_dead_groups(client))
        operations = reads.begin(unless_absent(client.operations()))
        orphans = reads.begin(client.schedules(state=ScheduleState.ORPHAN, limit=MOST_ORPHANS))
    if await is_first_run(client, queues.value, hour.value):
        return await _first_run(client, span, all_slots(workers.value), hour.value)
    flow = flows(by_type.value, now)
    listed: list[BulkOperation] = [] if isinstance(operations.value, Absence) else operations.value
    needs = needs_of(
        Scene(
            queues=queues.value,
            slots=slots_by_type(workers.value),
            flows=flow,
            incidents=incidents.value,
            groups=groups.value,
            operations=listed,
            orphans=orphans.value.items,
        )
    )
    return {
        "is_first_run": False,
        "needs": needs[:MOST_NEEDS],
        "more_needs": len(needs) - MOST_NEEDS,
        "figures": _figures(hour.value, day.value, queues.value, all_slots(workers.value)),
        "charts": _charts(ranged.value, chosen, now),
        "operations": listed[:MOST_OPERATIONS],
        "absence": absence_of(hour.value, groups.value, operations.value),
        "span": span,
        "spans": CHOICES,
        **_lists(queues.value, flow, groups.value),
        **_WORDS,
    }


def _lists(
    queues: Sequence[QueueStatus], flow: Mapping[JobType, TypeFlow], groups: DeadGroups | Absence
) -> dict[str, object]:
    """Return the queues that hold jobs, the oldest first, and what jobs have died of."""
    held_ones = sorted((queue for queue in queues if held(queue)), key=lambda one: -one.oldest_ready_age_s)
    known = groups.items if isinstance(groups, DeadGroups) else None
    return {
        "queues": held_ones[:MOST_QUEUES],
        "queue_count": len(queues),
        "flow_of": lambda queue: flow.get(queue.type, NO_FLOW),
        "groups": None if known is None else known[:MOST_GROUPS],
        "group_count": len(known or ()),
        "dead_queues": [queue for queue in queues if queue.dead],
    }


OVERVIEW = View("overview.html", read_overview, "overview")

_WORDS: Content = {
    "ready": ready,
    "late_s": LATE_S,
    "error_of": error_of,
    "message_of": message_of,
    "place_of": place_of,
    "telling": telling,
}


@get("/")
async def show_overview(visit: Visit) -> Response[Any]:
    """Show the overview; to who may read no jobs, what they may do."""
    if not visit.may(Scope.JOBS_READ):
        return visit.go("/me")
    return await visit.show(OVERVIEW, span=visit.choice("range", tuple(RANGES), DEFAULT_RANGE))


@post("/first-job")
async def submit_first_job(visit: Visit) -> Response[bytes]:
    """Submit a job of a type whose payload is known."""
    job_type = (await visit.form()).text("type")
    return await visit.act(submit_first(visit.client, job_type), back="/", done=lambda job: f"{job.id} is queued.")


async def _first_run(client: Client, span: str, slots: Slots, stats: Stats | Absence) -> Content:
    types = await client.types()
    return {
        "is_first_run": True,
        "slots": slots,
        "types": [one.type for one in types],
        "first": first_job(types),
        "absence": absence_of(stats),
        "span": span,
        "spans": CHOICES,
    }


def _figures(hour: Stats | Absence, day: Stats | Absence, queues: Sequence[QueueStatus], slots: Slots) -> list[Figure]:
    if isinstance(hour, Absence) or isinstance(day, Absence):
        return live_figures(queues, slots)
    return past_figures(hour, day, queues)


def _charts(stats: Stats | Absence, span: Range, now: datetime) -> list[Markup]:
    if isinstance(stats, Absence):
        return []
    return [throughput_chart("Throughput", stats, span, now), waiting_chart("Waiting and running", stats, span, now)]


HANDLERS = (show_overview, submit_first_job)
