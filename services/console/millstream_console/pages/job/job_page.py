"""The page of one job."""

from datetime import UTC, datetime
from typing import Any

from litestar import Response, get
from litestar.params import FromPath
from msgspec.structs import replace

from millstream import (
    ApiError,
    Client,
    InvalidError,
    Job,
    JobDependencies,
    JobNotFoundError,
    JobState,
    JobSteps,
    Timeline,
    UnavailableError,
)
from millstream.errors import describe
from millstream_console.drawing.masking import masked
from millstream_console.live.view import STILL, Content, Moved, View
from millstream_console.pages.job.copies import as_curl, as_json, as_python
from millstream_console.pages.job.course import course_of
from millstream_console.pages.job.near_ids import near_ids
from millstream_console.pages.job.profile import LOOKS, profile_of
from millstream_console.pages.jobs import looking
from millstream_console.web.problem_pages import NoSuchJobError
from millstream_console.web.visit import Visit
from millstream_contracts import MASK as SECRET_MASK
from millstream_contracts import Reason, Scope

_DELIVERIES = 5
_WAITING = frozenset({JobState.QUEUED, JobState.SCHEDULED, JobState.BLOCKED})
MAX_ATTEMPTS = 50
"""The newest attempts that are shown: each may have a long traceback."""
MAX_LOGGED = 5
"""The newest attempts whose log lines are shown."""


async def read_job(client: Client, *, job_id: str) -> Content:
    """Return a job, and what its page tells beside it."""
    return {**await read_open_job(client, job_id=job_id), "deliveries": await _deliveries(client, job_id)}


async def read_open_job(client: Client, *, job_id: str) -> Content:
    """Return what changes of a job while its page is open."""
    job = await client.get(job_id)
    timeline = await _timeline(client, job)
    around = await _around(client, job)
    return {
        "job": job,
        "timeline": timeline,
        "attempts": timeline.attempts[-MAX_ATTEMPTS:] if timeline else [],
        "logged": [attempt for attempt in timeline.attempts if attempt.logs][-MAX_LOGGED:] if timeline else [],
        "course": course_of(job, timeline),
        "around": around,
        "states": {one.id: one.state.value for one in around.after if one.state} if around else {},
        "kept": await _steps(client, job),
        "reasons": await _reasons(client, job),
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
    """Show a job; of an id that no job has, those that are nearly it."""
    try:
        return await visit.show(JOB, job_id=job_id)
    except JobNotFoundError as error:
        raise NoSuchJobError(describe(error.problem), await near_ids(visit.client, job_id)) from error


@get("/jobs/{job_id:str}/copy")
async def show_copies(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Show a job as the calls that would submit it once more."""
    visit.require(Scope.PAYLOADS_READ)
    found = await visit.client.get(job_id)
    job = replace(found, payload=masked(found.payload, visit.is_secret), result=masked(found.result, visit.is_secret))
    url = visit.api_url
    content = {
        "is_masked": job != found or f'"{SECRET_MASK}"' in as_json(found),
        "job": job,
        "curl": as_curl(job, url),
        "python": as_python(job, url),
        "json": as_json(job),
    }
    return await visit.framed("job_copy.html", {**content, "look": looking}, "jobs")


@get("/jobs/{job_id:str}/stack")
async def show_stack(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Show where the handler of a running job is, or spends its time; or why that is not known."""
    stack, profile, why = None, None, ""
    try:
        if visit.choice("looks", ("1", "many"), "1") == "many":
            profile = await profile_of(visit.client, job_id)
            stack = profile.typical
        else:
            stack = await visit.client.stack(job_id)
    except JobNotFoundError:
        raise
    except ApiError as error:
        why = error.problem.detail or error.problem.title
    content = {"job_id": job_id, "stack": stack, "profile": profile, "why": why, "look": looking, "many": LOOKS}
    return await visit.framed("job_stack.html", content, "jobs")


async def _timeline(client: Client, job: Job) -> Timeline | None:
    """Return the timeline; None without a history, or while it is away."""
    try:
        return await client.timeline(job.id, logs=True)
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


async def _steps(client: Client, job: Job) -> JobSteps | None:
    """Return what the durable handler of a job has behind it; None where there is nothing."""
    if job.state.is_terminal:
        return None
    try:
        found = await client.steps(job.id)
    except (JobNotFoundError, UnavailableError):
        return None
    return found if found.steps or found.kept_signals else None


async def _reasons(client: Client, job: Job) -> list[Reason]:
    """Return why a job that waits does not run, the first what a person has to decide about."""
    if job.state not in _WAITING:
        return []
    try:
        return (await client.explain(job.id)).reasons
    except (JobNotFoundError, UnavailableError):
        return []


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
