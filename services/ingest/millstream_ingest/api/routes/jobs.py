"""Single jobs: read one, its timeline and its stack, cancel it, retry it."""

from werkzeug.http import parse_etags, unquote_etag

from millstream_contracts import (
    Job,
    JobDependencies,
    JobExplanation,
    JobId,
    JobStack,
    JobState,
    NewPriority,
    Queue,
    Scope,
    Timeline,
    queue_of,
)
from millstream_ingest.api.entity_tag import etag_of
from millstream_ingest.api.operation import SWITCH, Content, Example, Operation, Parameter, seconds
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import header_text
from millstream_ingest.http.problems import (
    ERASED,
    HISTORY_UNAVAILABLE,
    INVALID_REQUEST,
    JOB_NOT_FOUND,
    NO_HISTORY,
    UNIQUE_CONFLICT,
    WORKER_SILENT,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response
from millstream_streams import ActionCode

_TAG = "Jobs"
ETAG = {"ETag": "The job as it is now: for `If-None-Match`"}

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
    problems=(JOB_NOT_FOUND, ERASED, HISTORY_UNAVAILABLE),
)
TIMELINE = Operation(
    id="getJobTimeline",
    tag=_TAG,
    summary="Read what happened to a job",
    description="Every transition, and every attempt with its error and traceback, from the history and from the "
    "present state of the job; with `logs=1` also the last log lines of the attempts of which they are kept.",
    query=(Parameter("logs", "1 adds the last log lines of attempts", SWITCH),),
    answers={200: Content(model=Timeline, description="What is known", examples=examples.TIMELINE)},
    problems=(JOB_NOT_FOUND, ERASED, NO_HISTORY, HISTORY_UNAVAILABLE),
)
CANCEL = Operation(
    id="cancelJob",
    tag=_TAG,
    summary="Cancel a job",
    description="A waiting job ends at once; the worker of a running one is asked to stop it.",
    answers={
        202: Content(model=Job, description="Cancelled, or asked for", examples=examples.RUNNING_JOB, headers=ETAG)
    },
    problems=(JOB_NOT_FOUND, ERASED, WRONG_STATE, HISTORY_UNAVAILABLE),
)
RUN_NOW = Operation(
    id="runJobNow",
    tag=_TAG,
    summary="Run a job before its time",
    description="One that was to run later, a retry too, is ready at once, and before all others of its priority where "
    "limits hold jobs back. Neither a limit nor a pause is passed by. One that is ready or runs stays as it is.",
    answers={202: Content(model=Job, description="Ready", examples=examples.RUNNING_JOB, headers=ETAG)},
    problems=(JOB_NOT_FOUND, ERASED, WRONG_STATE, HISTORY_UNAVAILABLE),
)
PRIORITY = Operation(
    id="setJobPriority",
    tag=_TAG,
    summary="Change the priority of a job",
    description="Of one that has not started. A ready job stands behind those that had this priority before it.",
    body=Content(model=NewPriority, examples={"high": Example("Before others of its type", {"priority": "high"})}),
    answers={202: Content(model=Job, description="Changed", examples=examples.RUNNING_JOB, headers=ETAG)},
    problems=(INVALID_REQUEST, JOB_NOT_FOUND, ERASED, WRONG_STATE, HISTORY_UNAVAILABLE),
)
DEPENDENCIES = Operation(
    id="getJobDependencies",
    tag=_TAG,
    summary="See what a job waits for, and what waits for it",
    description="The jobs that its submission named in `after`, with their states now, and the jobs that wait for it "
    "and have not been told that it has ended, a hundred at most.",
    answers={200: Content(model=JobDependencies, description="The jobs around it", examples=examples.DEPENDENCIES)},
    problems=(JOB_NOT_FOUND, ERASED, HISTORY_UNAVAILABLE),
)
EXPLAIN = Operation(
    id="explainJob",
    tag=_TAG,
    summary="See why a job does not run",
    description="The jobs, the time or the signal for which it waits, a pause of its queue, or that no worker handles "
    "its type; what a person has to decide is first.",
    answers={200: Content(model=JobExplanation, description="The reasons", examples=examples.EXPLANATION)},
    problems=(JOB_NOT_FOUND, ERASED, HISTORY_UNAVAILABLE),
)
STACK = Operation(
    id="getJobStack",
    tag=_TAG,
    summary="See where a running job is",
    description="The stack of its handler at this moment, which its worker is asked for: code, without variables and "
    "payload.",
    answers={200: Content(model=JobStack, description="Where it is", examples=examples.JOB_STACK)},
    problems=(JOB_NOT_FOUND, ERASED, WRONG_STATE, WORKER_SILENT, HISTORY_UNAVAILABLE),
)
RETRY = Operation(
    id="retryJob",
    tag=_TAG,
    summary="Run a dead job again",
    description="Its attempts and crashes are counted from zero. A durable handler goes on behind its steps, with "
    "`fresh` it begins anew.",
    query=(Parameter("fresh", "1 to forget what its durable handler has stored", SWITCH),),
    answers={202: Content(model=Job, description="It is queued", examples=examples.QUEUED_JOB, headers=ETAG)},
    problems=(JOB_NOT_FOUND, ERASED, WRONG_STATE, UNIQUE_CONFLICT, HISTORY_UNAVAILABLE),
)


@read("/v1/jobs/{job_id}", GET, Scope.JOBS_READ, own=True)
async def get_job(request: ApiRequest, job_id: str) -> Response:
    """Read a job."""
    wait_s = request.read_query(("wait",)).wait_s
    queue = queue_of_request(request, job_id)
    job = await read_job(request, queue, job_id)
    if wait_s > 0 and job.source == "live" and not job.state.is_settled:
        job = await _settled(request, queue, job, wait_s)
    if _is_known(request, job):
        return Response(status=304, headers={"ETag": etag_of(job)})
    return _job_response(job)


@read("/v1/jobs/{job_id}/stack", STACK, Scope.JOBS_READ)
async def get_job_stack(request: ApiRequest, job_id: str) -> Response:
    """See where a running job is."""
    request.read_query()
    queue, stacks = queue_of_request(request, job_id), request.services.stacks
    found = await request.unless_gone(lambda: stacks.read(queue, JobId(job_id)))
    if isinstance(found, JobStack):
        return Response(found)
    job = await read_job(request, queue, job_id)
    if job.source == "history":
        raise _is_history(job)
    if job.state is not JobState.RUNNING:
        raise IngestError(WRONG_STATE, f"the job is {job.state}: only one that runs has a stack")
    raise IngestError(WORKER_SILENT, f"{job.worker} has not said where the job is")


@read("/v1/jobs/{job_id}/dependencies", DEPENDENCIES, Scope.JOBS_READ)
async def get_job_dependencies(request: ApiRequest, job_id: str) -> Response:
    """See what a job waits for, and what waits for it."""
    request.read_query()
    queue = queue_of_request(request, job_id)
    job = await read_job(request, queue, job_id)
    return Response(await request.services.dependency_reader.read(queue, job))


@read("/v1/jobs/{job_id}/explain", EXPLAIN, Scope.JOBS_READ)
async def explain_job(request: ApiRequest, job_id: str) -> Response:
    """See why a job does not run."""
    request.read_query()
    queue = queue_of_request(request, job_id)
    job = await read_job(request, queue, job_id)
    return Response(await request.services.explainer.explain(queue, job))


@read("/v1/jobs/{job_id}/timeline", TIMELINE, Scope.JOBS_READ, own=True)
async def get_job_timeline(request: ApiRequest, job_id: str) -> Response:
    """Read what happened to a job."""
    query = request.read_query(("logs",))
    queue = queue_of_request(request, job_id)
    found = await request.services.past_jobs.timeline(
        request.history, queue, JobId(job_id), with_logs=query.switch("logs")
    )
    if found is None:
        raise _no_such_job()
    return Response(found)


@act("/v1/jobs/{job_id}/cancel", CANCEL, Scope.JOBS_MANAGE, own=True)
async def cancel_job(request: ApiRequest, job_id: str) -> Response:
    """Cancel a job."""
    request.read_query()
    queue = queue_of_request(request, job_id)
    [code] = await request.services.broker.store.cancel(queue, [JobId(job_id)])
    job = await _acted_on(request, queue, job_id, code, "cancelled")
    if code is ActionCode.DONE:
        request.services.metrics.count_finished(job.type, job.state)
    return _job_response(job, 202)


@act("/v1/jobs/{job_id}/run-now", RUN_NOW, Scope.JOBS_MANAGE)
async def run_job_now(request: ApiRequest, job_id: str) -> Response:
    """Run a job before its time."""
    request.read_query()
    queue = queue_of_request(request, job_id)
    [code] = await request.services.broker.store.run_now(queue, [JobId(job_id)])
    return _job_response(await _acted_on(request, queue, job_id, code, "run now, only one that waits for a time"), 202)


@act("/v1/jobs/{job_id}/priority", PRIORITY, Scope.JOBS_MANAGE)
async def set_job_priority(request: ApiRequest, job_id: str) -> Response:
    """Change the priority of a job."""
    request.read_query()
    queue = queue_of_request(request, job_id)
    asked = await request.read_as(NewPriority)
    [code] = await request.services.broker.store.set_priority(queue, [JobId(job_id)], asked.priority)
    return _job_response(await _acted_on(request, queue, job_id, code, "given a priority, it has started"), 202)


@act("/v1/jobs/{job_id}/retry", RETRY, Scope.JOBS_MANAGE)
async def retry_job(request: ApiRequest, job_id: str) -> Response:
    """Run a dead job again."""
    fresh = request.read_query(("fresh",)).switch("fresh")
    queue = queue_of_request(request, job_id)
    [code] = await request.services.dead_letters.redrive(queue, [JobId(job_id)], request=request.span, fresh=fresh)
    return _job_response(await _acted_on(request, queue, job_id, code, "retried, only a dead one"), 202)


async def read_job(request: ApiRequest, queue: Queue, job_id: str) -> Job:
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


def queue_of_request(request: ApiRequest, job_id: str) -> Queue:
    """Return the queue of a job of the tenant of a request. Raises: IngestError (404)."""
    queue = queue_of(request.tenant, job_id)
    if queue is None:
        raise _no_such_job()
    return queue


async def _acted_on(request: ApiRequest, queue: Queue, job_id: str, code: ActionCode, verb: str) -> Job:
    """Return the job after an action. Raises: IngestError, when the action was refused."""
    job = await read_job(request, queue, job_id)
    if job.source == "history":
        raise _is_history(job)
    if code is ActionCode.UNKNOWN_JOB:
        raise _no_such_job()
    if code is ActionCode.WRONG_STATE:
        raise IngestError(WRONG_STATE, f"the job is {job.state}: it cannot be {verb}")
    if code is ActionCode.UNIQUE_CONFLICT:
        key = f" `{job.unique.key}`" if job.unique else ""
        raise IngestError(UNIQUE_CONFLICT, f"another job holds its unique key{key} by now")
    return job


def _is_history(job: Job) -> IngestError:
    return IngestError(
        WRONG_STATE, f"the job is {job.state} in the history, and no longer in Redis: only reading is left"
    )


def _no_such_job() -> IngestError:
    return IngestError(JOB_NOT_FOUND)


ROUTES = (
    get_job,
    get_job_stack,
    get_job_dependencies,
    explain_job,
    get_job_timeline,
    cancel_job,
    run_job_now,
    set_job_priority,
    retry_job,
)
