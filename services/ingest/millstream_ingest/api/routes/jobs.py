"""Jobs: submit one, read one, list, cancel, retry."""

from litestar.params import FromPath

from millstream_contracts import Job, JobId, Page, Queue, Submission, queue_of
from millstream_ingest.api.entity_tag import etag_of
from millstream_ingest.api.listing import listing_answer
from millstream_ingest.api.operation import Content, Operation, Parameter, act, listing, read, seconds
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.routes import examples
from millstream_ingest.api.submitting import submit
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import (
    IDEMPOTENCY_KEY_REUSED,
    INVALID_REQUEST,
    JOB_FORGOTTEN,
    JOB_NOT_FOUND,
    NOT_DURABLE,
    OVERLOADED,
    STORE_FULL,
    WRONG_STATE,
)
from millstream_ingest.http.response import Answer
from millstream_ingest.submission.idempotency import HEADER
from millstream_streams import ActionCode

_TAG = "Jobs"
_JOB_HEADERS = {"ETag": "The job's version", "Location": "Path of the job"}

SUBMIT = Operation(
    id="submitJob",
    tag=_TAG,
    summary="Submit a job",
    description="Answers when the job is stored. Nothing is accepted that is not.",
    headers=(
        Parameter(HEADER, "The same key and body within 24 hours return the same job", example="order-4711"),
        Parameter(
            "Prefer",
            "`wait=N` holds the answer back until the job has ended, at most 30 s. "
            "`durability=replicated` and `durability=fsynced` answer once a replica, or the disk, has it too",
            example="wait=10",
        ),
        Parameter("traceparent", "The trace that the job continues (W3C Trace Context)"),
        Parameter("tracestate", "Goes with `traceparent`"),
    ),
    body=Content(model=Submission, example=examples.SUBMISSION),
    answers={
        202: Content(
            model=Job,
            description="Stored. Without the payload's schema the handler may still refuse it later",
            example=examples.QUEUED_JOB,
            headers=_JOB_HEADERS | {"Idempotency-Replayed": "`true` when an earlier request had made the job"},
        ),
        200: Content(
            model=Job,
            description="It has ended within the time that `Prefer: wait` gave it",
            example=examples.DONE_JOB,
            headers=_JOB_HEADERS | {"Preference-Applied": "`wait=N`, `durability=…`"},
        ),
    },
    problems=(INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED, JOB_FORGOTTEN, STORE_FULL, NOT_DURABLE, OVERLOADED),
)
LIST = Operation(
    id="listJobs",
    tag=_TAG,
    summary="List jobs that have not ended",
    description="By state, queue, priority and age, without payloads and results. Finished jobs are not listed.",
    query=listing(
        Parameter("type", "Only jobs of this type", example="email.send"),
        Parameter("state", "Only jobs in this state", {"enum": ["running", "queued", "scheduled", "dead"]}, "queued"),
    ),
    answers={200: Content(model=Page, description="A page", example=examples.JOB_PAGE, headers={"Link": "Next page"})},
    problems=(INVALID_REQUEST,),
)
GET = Operation(
    id="getJob",
    tag=_TAG,
    summary="Read a job",
    query=(seconds("Hold the answer back until the job has ended or is dead, at most so many seconds"),),
    headers=(Parameter("If-None-Match", "An `ETag` that the client has", example='"3"'),),
    answers={
        200: Content(model=Job, description="The job", example=examples.RUNNING_JOB, headers=_JOB_HEADERS),
        304: Content(description="It is as the client knows it", media_types=()),
    },
    problems=(JOB_NOT_FOUND,),
)
CANCEL = Operation(
    id="cancelJob",
    tag=_TAG,
    summary="Cancel a job",
    description="A waiting job ends at once; the worker of a running one is asked to stop it.",
    answers={202: Content(model=Job, description="Cancelled, or asked for", example=examples.RUNNING_JOB)},
    problems=(JOB_NOT_FOUND, WRONG_STATE),
)
RETRY = Operation(
    id="retryJob",
    tag=_TAG,
    summary="Run a dead job again",
    description="Its attempts and crashes are counted from zero.",
    answers={202: Content(model=Job, description="It is queued", example=examples.QUEUED_JOB)},
    problems=(JOB_NOT_FOUND, WRONG_STATE),
)


@act("/v1/jobs", SUBMIT)
async def submit_job(request: ApiRequest) -> Answer:
    """Submit a job."""
    told = await submit(request, request.parts)
    return Answer(told.job, told.status, told.notes | {"Location": told.location, "ETag": told.etag})


@read("/v1/jobs", LIST)
async def list_jobs(request: ApiRequest) -> Answer:
    """List jobs."""
    query = request.read_query(("type", "state", "cursor", "limit"))
    page = await request.parts.lister.jobs(
        request.tenant, query.type, query.state, cursor=query.cursor, limit=query.limit
    )
    return listing_answer(request, query, page, page.next_cursor)


@read("/v1/jobs/{job_id:str}", GET)
async def get_job(request: ApiRequest, job_id: FromPath[str]) -> Answer:
    """Read a job."""
    wait_s = request.read_query(("wait",)).wait_s
    queue = _queue(request, job_id)
    job = await request.parts.broker.views.job(queue, JobId(job_id))
    if job is None:
        raise _no_such_job()
    if wait_s > 0 and not job.state.is_settled:
        job = await _settled(request, queue, job, wait_s)
    if _is_known(request, job):
        return Answer(None, 304, {"ETag": etag_of(job)})
    return _job_answer(job)


@act("/v1/jobs/{job_id:str}/cancel", CANCEL)
async def cancel_job(request: ApiRequest, job_id: FromPath[str]) -> Answer:
    """Cancel a job."""
    request.read_query()
    queue = _queue(request, job_id)
    [code] = await request.parts.broker.store.cancel(queue, [JobId(job_id)])
    job = await _acted_on(request, queue, job_id, code, "cancelled")
    if code is ActionCode.DONE:
        request.parts.metrics.count_finished(job.type, job.state)
    return _job_answer(job, 202)


@act("/v1/jobs/{job_id:str}/retry", RETRY)
async def retry_job(request: ApiRequest, job_id: FromPath[str]) -> Answer:
    """Run a dead job again."""
    request.read_query()
    queue = _queue(request, job_id)
    [code] = await request.parts.dead.redrive(queue, [JobId(job_id)])
    return _job_answer(await _acted_on(request, queue, job_id, code, "retried, only a dead one"), 202)


def _job_answer(job: Job, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(job, status, {**(headers or {}), "ETag": etag_of(job)})


def _is_known(request: ApiRequest, job: Job) -> bool:
    """Whether the client has the job as it is now, by RFC 9110 section 13.1.2."""
    known = ",".join(request.headers.getall("if-none-match", []))
    return known.strip() == "*" or etag_of(job) in {tag.strip().removeprefix("W/") for tag in known.split(",")}


async def _settled(request: ApiRequest, queue: Queue, job: Job, wait_s: float) -> Job:
    """Return a job once it has ended or the time is over; as it was when it has been forgotten meanwhile."""
    waiter = request.parts.waiter
    waited = await request.unless_gone(lambda: waiter.wait(queue, job.id, wait_s))
    return waited or job


def _queue(request: ApiRequest, job_id: FromPath[str]) -> Queue:
    queue = queue_of(request.tenant, job_id)
    if queue is None:
        raise _no_such_job()
    return queue


async def _acted_on(request: ApiRequest, queue: Queue, job_id: str, code: ActionCode, verb: str) -> Job:
    """Return the job after an action. Raises: IngestError, when the action was refused."""
    job = None if code is ActionCode.UNKNOWN_JOB else await request.parts.broker.views.job(queue, JobId(job_id))
    if job is None:
        raise _no_such_job()
    if code is ActionCode.WRONG_STATE:
        raise IngestError(WRONG_STATE, f"the job is {job.state}: it cannot be {verb}")
    return job


def _no_such_job() -> IngestError:
    return IngestError(JOB_NOT_FOUND)


ROUTES = (submit_job, list_jobs, get_job, cancel_job, retry_job)
