"""Jobs: read one, list, cancel, retry."""

from datetime import UTC, datetime

from werkzeug.http import parse_etags, unquote_etag

from millstream_contracts import Job, JobId, JobStack, JobState, Page, Queue, SearchHints, Timeline, queue_of
from millstream_history import MAX_QUERY_CHARS, JobQuery, hints_at, type_in
from millstream_ingest.api.entity_tag import etag_of
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import JOB_TYPE, Content, Operation, Parameter, listing, seconds
from millstream_ingest.api.principal import Scope
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import header_text
from millstream_ingest.http.problems import (
    HISTORY_UNAVAILABLE,
    INVALID_QUERY,
    INVALID_REQUEST,
    JOB_NOT_FOUND,
    NO_HISTORY,
    TOO_MANY_SEARCHES,
    WORKER_SILENT,
    WRONG_STATE,
)
from millstream_ingest.http.query import TAG, Query
from millstream_ingest.http.response import Response
from millstream_streams import ActionCode

_TAG = "Jobs"
ETAG = {"ETag": "The job as it is now: for `If-None-Match`"}

_TIME = {"type": "string", "format": "date-time"}
_COUNT = {"type": "string", "enum": ["0", "1"], "default": "0"}
_LIST_PARAMETERS = ("type", "state", "q", "created_after", "created_before", "count", TAG, "cursor", "limit")

LIST = Operation(
    id="listJobs",
    tag=_TAG,
    summary="List jobs that have not ended, or search for any",
    description="Jobs that have not ended, from Redis, by state, queue, priority and age. With `q`, `created_after`, "
    "`created_before`, a parameter `tag.<name>`, `count`, or a state that is an end: a search in the history, newest "
    "first. Both without payloads and results. A page of a search whose time was over has `complete: false`: it may "
    "even be empty, and the next one goes on.",
    query=listing(
        Parameter("type", "Only jobs of this type", JOB_TYPE, examples.REPORT_TYPE),
        Parameter(
            "state", "Only jobs in this state", {"type": "string", "enum": [one.value for one in JobState]}, "queued"
        ),
        Parameter("q", "What to search for: conditions that all hold. docs/history/searching.md has the language"),
        Parameter("created_after", "Search for jobs that were submitted at this time or later", _TIME),
        Parameter("created_before", "Search for jobs that were submitted before this time", _TIME),
        Parameter("count", "1 counts the jobs of all pages, as far as that can be done soon", _COUNT),
    ),
    answers={200: Content(model=Page, description="A page", examples=examples.JOB_PAGE, headers={"Link": "Next page"})},
    problems=(INVALID_REQUEST, INVALID_QUERY, NO_HISTORY, TOO_MANY_SEARCHES, HISTORY_UNAVAILABLE),
)
HINTS = Operation(
    id="hintSearch",
    tag=_TAG,
    summary="Hint at how a search can go on",
    description="For the place of a query where a person is typing: fields and values, also those that recent jobs "
    "have. Values of keys that are named like a secret are never among them.",
    query=(
        Parameter("q", "The query so far"),
        Parameter(
            "at",
            "The place in it, in characters; its end if left out",
            {"type": "integer", "format": "int64", "minimum": 0},
        ),
    ),
    answers={200: Content(model=SearchHints, description="The hints", examples=examples.SEARCH_HINTS)},
    problems=(NO_HISTORY, HISTORY_UNAVAILABLE),
)
GET = Operation(
    id="getJob",
    tag=_TAG,
    summary="Read a job",
    description="With `wait` the response is held back until the job has ended or is dead, or the time is over. A job "
    "that Redis has forgotten is read from the history, where there is one.",
    query=(seconds("Hold the answer back until the job has ended or is dead, at most so many seconds"),),
    headers=(Parameter("If-None-Match", "An `ETag` that the client has: 304 while the job is as it was then"),),
    answers={
        200: Content(model=Job, description="The job", examples=examples.RUNNING_JOB, headers=ETAG),
        304: Content(description="It is as the client knows it", media_types=(), headers=ETAG),
    },
    problems=(JOB_NOT_FOUND, HISTORY_UNAVAILABLE),
)
TIMELINE = Operation(
    id="getJobTimeline",
    tag=_TAG,
    summary="Read what happened to a job",
    description="Every transition, and every attempt with its error and traceback, from the history and from the "
    "present state of the job.",
    answers={200: Content(model=Timeline, description="What is known", examples=examples.TIMELINE)},
    problems=(JOB_NOT_FOUND, NO_HISTORY, HISTORY_UNAVAILABLE),
)
CANCEL = Operation(
    id="cancelJob",
    tag=_TAG,
    summary="Cancel a job",
    description="A waiting job ends at once; the worker of a running one is asked to stop it.",
    answers={
        202: Content(model=Job, description="Cancelled, or asked for", examples=examples.RUNNING_JOB, headers=ETAG)
    },
    problems=(JOB_NOT_FOUND, WRONG_STATE, HISTORY_UNAVAILABLE),
)
STACK = Operation(
    id="getJobStack",
    tag=_TAG,
    summary="See where a running job is",
    description="The stack of its handler at this moment, which its worker is asked for: code, without variables and "
    "payload.",
    answers={200: Content(model=JobStack, description="Where it is", examples=examples.JOB_STACK)},
    problems=(JOB_NOT_FOUND, WRONG_STATE, WORKER_SILENT, HISTORY_UNAVAILABLE),
)
RETRY = Operation(
    id="retryJob",
    tag=_TAG,
    summary="Run a dead job again",
    description="Its attempts and crashes are counted from zero.",
    answers={202: Content(model=Job, description="It is queued", examples=examples.QUEUED_JOB, headers=ETAG)},
    problems=(JOB_NOT_FOUND, WRONG_STATE, HISTORY_UNAVAILABLE),
)


@read("/v1/jobs", LIST, Scope.JOBS_READ)
async def list_jobs(request: ApiRequest) -> Response:
    """List jobs."""
    query = request.read_query(_LIST_PARAMETERS)
    page = await (_search(request, query) if query.is_search else _list(request, query))
    return listing_response(request, query, page, page.next_cursor)


@read("/v1/jobs/search/hints", HINTS, Scope.JOBS_READ)
async def hint_search(request: ApiRequest) -> Response:
    """Hint at how a search can go on."""
    query = request.read_query(("q", "at"))
    text, searcher = query.q[:MAX_QUERY_CHARS], request.services.searcher
    at = query.place("at", len(text))
    recent = await request.history.search.recent(request.tenant, type_in(text))
    return Response(hints_at(text, at, await searcher.known_types(request.tenant) or (), recent))


async def _list(request: ApiRequest, query: Query) -> Page:
    """Return a page of the jobs that have not ended."""
    return await request.services.lister.jobs(
        request.tenant, query.type, query.listed_state, cursor=query.cursor, limit=query.limit
    )


async def _search(request: ApiRequest, query: Query) -> Page:
    """Return a page of a search."""
    wanted = JobQuery(
        tenant=request.tenant,
        asked_at=datetime.fromtimestamp(request.services.broker.clock.now_s(), UTC),
        q=query.q,
        type=query.type,
        state=query.state,
        tags=query.tags,
        created_after=query.time("created_after"),
        created_before=query.time("created_before"),
    )
    return await request.services.searcher.page(
        request.history,
        wanted,
        cursor=query.cursor,
        limit=query.limit,
        is_counted=query.is_counted,
        request=request.span,
    )


@read("/v1/jobs/{job_id}", GET, Scope.JOBS_READ)
async def get_job(request: ApiRequest, job_id: str) -> Response:
    """Read a job."""
    wait_s = request.read_query(("wait",)).wait_s
    queue = _queue(request, job_id)
    job = await _read(request, queue, job_id)
    if wait_s > 0 and job.source == "live" and not job.state.is_settled:
        job = await _settled(request, queue, job, wait_s)
    if _is_known(request, job):
        return Response(status=304, headers={"ETag": etag_of(job)})
    return _job_response(job)


@read("/v1/jobs/{job_id}/stack", STACK, Scope.JOBS_READ)
async def get_job_stack(request: ApiRequest, job_id: str) -> Response:
    """See where a running job is."""
    request.read_query()
    queue, stacks = _queue(request, job_id), request.services.stacks
    found = await request.unless_gone(lambda: stacks.read(queue, JobId(job_id)))
    if isinstance(found, JobStack):
        return Response(found)
    job = await _read(request, queue, job_id)
    if job.source == "history":
        raise _is_history(job)
    if job.state is not JobState.RUNNING:
        raise IngestError(WRONG_STATE, f"the job is {job.state}: only one that runs has a stack")
    raise IngestError(WORKER_SILENT, f"{job.worker} has not said where the job is")


@read("/v1/jobs/{job_id}/timeline", TIMELINE, Scope.JOBS_READ)
async def get_job_timeline(request: ApiRequest, job_id: str) -> Response:
    """Read what happened to a job."""
    request.read_query()
    queue = _queue(request, job_id)
    found = await request.services.past_jobs.timeline(request.history, queue, JobId(job_id))
    if found is None:
        raise _no_such_job()
    return Response(found)


@act("/v1/jobs/{job_id}/cancel", CANCEL, Scope.JOBS_MANAGE)
async def cancel_job(request: ApiRequest, job_id: str) -> Response:
    """Cancel a job."""
    request.read_query()
    queue = _queue(request, job_id)
    [code] = await request.services.broker.store.cancel(queue, [JobId(job_id)])
    job = await _acted_on(request, queue, job_id, code, "cancelled")
    if code is ActionCode.DONE:
        request.services.metrics.count_finished(job.type, job.state)
    return _job_response(job, 202)


@act("/v1/jobs/{job_id}/retry", RETRY, Scope.JOBS_MANAGE)
async def retry_job(request: ApiRequest, job_id: str) -> Response:
    """Run a dead job again."""
    request.read_query()
    queue = _queue(request, job_id)
    [code] = await request.services.dead_letters.redrive(queue, [JobId(job_id)], request=request.span)
    return _job_response(await _acted_on(request, queue, job_id, code, "retried, only a dead one"), 202)


async def _read(request: ApiRequest, queue: Queue, job_id: str) -> Job:
    """Return a job, from the history if Redis has forgotten it. Raises: IngestError (404)."""
    services = request.services
    job = await services.broker.views.job(queue, JobId(job_id)) or await services.past_jobs.job(queue, JobId(job_id))
    if job is None:
        raise _no_such_job()
    return job


def _job_response(job: Job, status: int = 200) -> Response:
    return Response(job, status, {"ETag": etag_of(job)})


def _is_known(request: ApiRequest, job: Job) -> bool:
    """Return whether the client has the job as it is now, by RFC 9110 section 13.1.2."""
    etag, _ = unquote_etag(etag_of(job))
    return parse_etags(header_text(request.headers, b"if-none-match")).contains_weak(etag)


async def _settled(request: ApiRequest, queue: Queue, job: Job, wait_s: float) -> Job:
    """Return a job once it has ended or the time is over; as it was when it has been forgotten meanwhile."""
    waiter = request.services.waiter
    waited = await request.unless_gone(lambda: waiter.wait(queue, job.id, wait_s))
    return waited or job


def _queue(request: ApiRequest, job_id: str) -> Queue:
    queue = queue_of(request.tenant, job_id)
    if queue is None:
        raise _no_such_job()
    return queue


async def _acted_on(request: ApiRequest, queue: Queue, job_id: str, code: ActionCode, verb: str) -> Job:
    """Return the job after an action. Raises: IngestError, when the action was refused."""
    job = await _read(request, queue, job_id)
    if job.source == "history":
        raise _is_history(job)
    if code is ActionCode.UNKNOWN_JOB:
        raise _no_such_job()
    if code is ActionCode.WRONG_STATE:
        raise IngestError(WRONG_STATE, f"the job is {job.state}: it cannot be {verb}")
    return job


def _is_history(job: Job) -> IngestError:
    return IngestError(
        WRONG_STATE, f"the job is {job.state} in the history, and no longer in Redis: only reading is left"
    )


def _no_such_job() -> IngestError:
    return IngestError(JOB_NOT_FOUND)


ROUTES = (list_jobs, hint_search, get_job, get_job_stack, get_job_timeline, cancel_job, retry_job)
