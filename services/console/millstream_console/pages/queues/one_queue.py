"""One queue: what is wrong with it, its numbers and charts, how its jobs are run and by which workers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from markupsafe import Markup
from msgspec import structs

from millstream import Client, JobNotFoundError, TypeRegistration, WorkerInfo
from millstream_console.drawing.json_tree import json_tree
from millstream_console.live.view import Content, View
from millstream_console.pages.queues import policy_words
from millstream_console.pages.queues.condition import LATE_S, ready, state_of
from millstream_console.pages.queues.trouble import trouble_of
from millstream_console.pages.queues.typed_limits import typed_limits, weights_text
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
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Visit
from millstream_contracts import DeadGroups, Job, JobState, QueueKey, QueueSettings, QueueStatus, Stats

MOST_RUNNING, MOST_GROUPS, MOST_WORKERS = 8, 5, 12
MOST_KEYS = 10
REGISTRATION_S = 5.0


async def read_queue(client: Client, *, job_type: str, span: str) -> Content:
    """Return what one queue shows. Raises: JobNotFoundError, ApiError."""
    chosen, now = RANGES[span], datetime.now(UTC)
    async with AtOnce() as reads:
        queue = reads.begin(client.queue(job_type))
        settings = reads.begin(client.queue_settings(job_type))
        workers = reads.begin(client.workers())
        registration = reads.begin(kept(client, ("type", job_type), REGISTRATION_S, lambda: _type(client, job_type)))
        hour = reads.begin(read_stats(client, RANGES[DEFAULT_RANGE], job_type))
        ranged = hour if span == DEFAULT_RANGE else reads.begin(read_stats(client, chosen, job_type))
    keys, running, groups = await _read_lists(client, queue.value, settings.value)
    slots = slots_by_type(workers.value).get(job_type, NO_SLOTS)
    flow = recent_flow(hour.value, now)
    return {
        "queue": queue.value,
        "settings": settings.value,
        "weights": weights_text(settings.value.limits.weights if settings.value.limits else None),
        "state": state_of(queue.value, has_worker=bool(slots.workers)),
        "trouble": trouble_of(queue.value, slots, flow),
        "flow": flow,
        "slots": slots,
        "listed_keys": [one for one in keys if one.key is not None],
        "workers": _handling(workers.value, job_type)[:MOST_WORKERS],
        "running": running,
        "charts": _charts(ranged.value, chosen, now),
        "groups": groups.items[:MOST_GROUPS] if isinstance(groups, DeadGroups) else [],
        "absence": absence_of(ranged.value, groups),
        "registration": registration.value,
        "schema": _schema(registration.value),
        "span": span,
        "spans": CHOICES,
        **_WORDS,
    }


async def _read_lists(
    client: Client, queue: QueueStatus, settings: QueueSettings
) -> tuple[list[QueueKey], list[Job], DeadGroups | Absence | None]:
    """Return keys, running jobs and groups of dead ones; nothing is asked where the counts say that there are none."""
    has_keys = queue.parked or settings.limits is not None or settings.keys_held_until is not None
    async with AtOnce() as reads:
        keys = reads.begin(client.queue_keys(queue.type, limit=MOST_KEYS)) if has_keys else None
        asked = client.jobs(type=queue.type, state=JobState.RUNNING, limit=MOST_RUNNING) if queue.running else None
        running = reads.begin(asked) if asked else None
        groups = reads.begin(read_dead_groups(client, queue.type)) if queue.dead else None
    return (
        keys.value.items if keys else [],
        running.value.items if running else [],
        groups.value if groups else None,
    )


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


@post("/queues/{job_type:str}/pause")
async def pause_queue(visit: Visit, job_type: FromPath[str]) -> Response[bytes]:
    """Pause a queue."""
    form = await visit.form()
    doing = visit.client.pause_queue(job_type, reason=form.text("reason"))
    return await visit.act(doing, back=_path(job_type), done="Paused. No worker gets a job of it; what runs goes on.")


@post("/queues/{job_type:str}/resume")
async def resume_queue(visit: Visit, job_type: FromPath[str]) -> Response[bytes]:
    """Let a paused queue go on."""
    return await visit.act(visit.client.resume_queue(job_type), back=_path(job_type), done="Resumed.")


@post("/queues/{job_type:str}/hold/end")
async def end_hold(visit: Visit, job_type: FromPath[str]) -> Response[bytes]:
    """Let the jobs start that a handler holds back, those of a key or all."""
    key = (await visit.form()).text("key")
    doing = visit.client.end_hold(job_type, key=key or None)
    return await visit.act(doing, back=_path(job_type), done="Its jobs start again.")


@post("/queues/{job_type:str}/breaker/open")
async def open_breaker(visit: Visit, job_type: FromPath[str]) -> Response[bytes]:
    """Open the circuit breaker of a queue."""
    form = await visit.form()
    doing = visit.client.open_breaker(job_type, reason=form.text("reason"))
    return await visit.act(doing, back=_path(job_type), done="Opened. No job starts until it is closed by hand.")


@post("/queues/{job_type:str}/breaker/close")
async def close_breaker(visit: Visit, job_type: FromPath[str]) -> Response[bytes]:
    """Close the circuit breaker of a queue."""
    return await visit.act(visit.client.close_breaker(job_type), back=_path(job_type), done="Closed. Jobs start again.")


@post("/queues/{job_type:str}/limits")
async def limit_queue(visit: Visit, job_type: FromPath[str]) -> Response[bytes]:
    """Set the limits of a queue, or remove them where the form says none."""
    form = await visit.form()
    back = _path(job_type)
    try:
        typed = typed_limits(form)
    except ValueError as error:
        return visit.go(back, Toast(str(error), "b"))
    if typed is None:
        return await visit.act(visit.client.unlimit_queue(job_type), back=back, done="It has no limits any more.")
    doing = visit.client.limit_queue(job_type, **structs.asdict(typed))
    return await visit.act(doing, back=back, done=f"Limited to {typed.in_words}.")


def _path(job_type: str) -> str:
    return f"/queues/{job_type}"


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


HANDLERS = (show_queue, pause_queue, resume_queue, limit_queue, end_hold, open_breaker, close_breaker)
