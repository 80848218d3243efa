"""The page of one job."""

from datetime import UTC, datetime
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from millstream import (
    ApiError,
    Client,
    InvalidError,
    Job,
    JobDependencies,
    JobNotFoundError,
    JobState,
    QueueStatus,
    Timeline,
    UnavailableError,
)
from millstream_console.live.view import STILL, Content, Moved, View
from millstream_console.pages.job.copies import as_curl, as_json, as_python
from millstream_console.pages.job.course import course_of
from millstream_console.pages.jobs import looking
from millstream_console.web.visit import Visit

_DELIVERIES = 5
MAX_ATTEMPTS = 50
"""The newest attempts that are shown: each may have a long traceback."""


async def read_job(client: Client, *, job_id: str) -> Content:
    """Return a job, and what its page tells beside it."""
    return {**await read_open_job(client, job_id=job_id), "deliveries": await _deliveries(client, job_id)}


async def read_open_job(client: Client, *, job_id: str) -> Content:
    """Return what changes of a job while its page is open."""
    job = await client.get(job_id)
    timeline = await _timeline(client, job)
    queue = None if job.state.is_settled else await _queue(client, job)
    return {
        "job": job,
        "timeline": timeline,
        "attempts": timeline.attempts[-MAX_ATTEMPTS:] if timeline else [],
        "course": course_of(job, timeline),
        "around": await _around(client, job),
        "queue": queue,
        "handled": queue is None or job.state is not JobState.QUEUED or await _is_handled(client, job),
        "look": looking,
        "lag_s": max((datetime.now(UTC) - job.started_at).total_seconds(), 0.0) if job.started_at else None,
        "same": _same_errors(job),
        STILL: job.state.is_settled,
    }


async def follow_job(client: Client, moved: Moved, *, job_id: str) -> None:
    """Call `moved` each time that something has happened to a job, or may have. Raises: ApiError."""
    async for _ in client.events(job=job_id, on_gap=moved):
        moved()


JOB = View("job.html", read_job, "jobs", refresh=read_open_job, follow=follow_job)


@get("/jobs/{job_id:str}")
async def show_job(visit: Visit, job_id: FromPath[str]) -> Response[Any]:
    """Show a job."""
    return await visit.show(JOB, job_id=job_id)


@get("/jobs/{job_id:str}/copy")
async def show_copies(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Show a job as the calls that would submit it once more."""
    job = await visit.client.get(job_id)
    url = visit.api_url
    content = {"job": job, "curl": as_curl(job, url), "python": as_python(job, url), "json": as_json(job)}
    return await visit.framed("job_copy.html", {**content, "look": looking}, "jobs")


@get("/jobs/{job_id:str}/stack")
async def show_stack(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Show where the handler of a running job is; or why that is not known."""
    stack, why = None, ""
    try:
        stack = await visit.client.stack(job_id)
    except JobNotFoundError:
        raise
    except ApiError as error:
        why = error.problem.detail or error.problem.title
    return await visit.framed("job_stack.html", {"job_id": job_id, "stack": stack, "why": why, "look": looking}, "jobs")


async def _timeline(client: Client, job: Job) -> Timeline | None:
    """Return the timeline; None without a history, or while it is away."""
    try:
        return await client.timeline(job.id)
    except (InvalidError, JobNotFoundError, UnavailableError):
        return None


async def _around(client: Client, job: Job) -> JobDependencies | None:
    """Return the jobs around one: for which it waits, or has waited, and those that wait for it. None for none."""
    if job.after is None and job.state.is_terminal:
        return None
    try:
        found = await client.dependencies(job.id)
    except (JobNotFoundError, UnavailableError):
        return None
    return found if found.after or found.children else None


async def _queue(client: Client, job: Job) -> QueueStatus | None:
    try:
        return await client.queue(job.type)
    except JobNotFoundError:
        return None


async def _is_handled(client: Client, job: Job) -> bool:
    return any(job.type in worker.types for worker in await client.workers())


async def _deliveries(client: Client, job_id: str) -> list[Job]:
    """Return the newest deliveries of webhooks and of the callback that tell of a job."""
    try:
        return (await client.jobs(type="webhook.call", tags={"job": job_id}, limit=_DELIVERIES)).items
    except ApiError:
        return []


def _same_errors(job: Job) -> str:
    """Return the query for the dead jobs that have died of the same; empty for a job that is not dead."""
    if job.state is not JobState.DEAD or not job.error or not job.error.fingerprint:
        return ""
    return f'state:dead type:{job.type} fingerprint:"{job.error.fingerprint}"'


HANDLERS: tuple[Any, ...] = (show_job, show_copies, show_stack)
