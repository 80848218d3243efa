"""One job in one request: the route that ingest is measured by."""

from contextlib import suppress

from millstream_contracts import Job, Queue, Scope, Submission
from millstream_ingest.api.entity_tag import etag_of
from millstream_ingest.api.fast_path import PATH
from millstream_ingest.api.operation import Content, Operation, Parameter
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, act
from millstream_ingest.api.routes import examples
from millstream_ingest.api.routes.jobs import ETAG
from millstream_ingest.http.negotiation import request_encoding
from millstream_ingest.http.problems import (
    BACKLOG_FULL,
    IDEMPOTENCY_KEY_REUSED,
    INVALID_REQUEST,
    JOB_FORGOTTEN,
    KEY_BACKLOG_FULL,
    NOT_DURABLE,
    OVERLOADED,
    STORE_FULL,
    TENANT_BACKLOG_FULL,
    UNIQUE_CONFLICT,
)
from millstream_ingest.http.response import Response
from millstream_ingest.submission.idempotency import HEADER
from millstream_ingest.submission.single import Accepted
from millstream_streams import StoreUnavailableError

_HEADERS = {
    **ETAG,
    "Location": "Path of the job",
    "Idempotency-Replayed": "`true` when an earlier request had made the job",
    "Unique-Conflict": "`true` when nothing was stored, because this job holds the unique key of the submission",
    "Preference-Applied": "`wait=N`, `durability=…`",
}

SUBMIT = Operation(
    id="submitJob",
    tag="Jobs",
    summary="Submit a job",
    description="Answers when the job is stored. Nothing is accepted that is not.",
    headers=(
        Parameter(HEADER, "The same key and body within 24 hours return the same job"),
        Parameter(
            "Prefer",
            "`wait=N` holds the answer back until the job has ended, at most 30 s. "
            "`durability=replicated` and `durability=fsynced` answer once a replica, or the disk, has it too",
            example="wait=10",
        ),
        Parameter("traceparent", "The trace that the job continues (W3C Trace Context)"),
        Parameter("tracestate", "Goes with `traceparent`"),
    ),
    body=Content(model=Submission, examples=examples.SUBMISSIONS),
    answers={
        202: Content(
            model=Job,
            description="Stored. Without the payload's schema the handler may still refuse it later",
            examples=examples.QUEUED_JOB,
            headers=_HEADERS,
        ),
        200: Content(
            model=Job,
            description="It has ended within the time that `Prefer: wait` gave it, or it holds the unique key",
            examples=examples.DONE_JOB,
            headers=_HEADERS,
        ),
    },
    problems=(
        INVALID_REQUEST,
        IDEMPOTENCY_KEY_REUSED,
        UNIQUE_CONFLICT,
        JOB_FORGOTTEN,
        STORE_FULL,
        BACKLOG_FULL,
        KEY_BACKLOG_FULL,
        TENANT_BACKLOG_FULL,
        NOT_DURABLE,
        OVERLOADED,
    ),
)


@act(PATH, SUBMIT, Scope.JOBS_SUBMIT, audited=Audited.NOT, narrows=True)
async def submit_job(request: ApiRequest) -> Response:
    """Store a job, and wait for its end if the client prefers that."""
    request.read_query()
    services = request.services
    encoding = request_encoding(request.body_type)
    key, preferences = request.idempotency_key, request.preferences
    body = await request.read_body(services.settings.max_body_bytes)
    accepted = await services.submitter.submit(
        request.tenant,
        body,
        encoding,
        caller=request.span.context,
        key=key,
        waited=preferences.wait_s > 0,
        durability=preferences.durability,
        types=request.principal.types,
        owner=request.principal.owner,
    )
    job, status, headers = accepted.job, 200 if accepted.is_holder else 202, preferences.applied("wait", "durability")
    if preferences.wait_s > 0:
        job = await _settled(request, accepted, preferences.wait_s)
        status = 200 if job.state.is_settled or accepted.is_holder else 202
    if accepted.replayed:
        headers["Idempotency-Replayed"] = "true"
    if accepted.is_holder:
        headers["Unique-Conflict"] = "true"
    headers["Location"] = f"{PATH}/{job.id}"
    headers["ETag"] = etag_of(job)
    return Response(job, status, headers)


async def _settled(request: ApiRequest, accepted: Accepted, wait_s: float) -> Job:
    """Return a job once it has ended or the time is over; as it was stored when Redis goes away meanwhile."""
    queue: Queue = accepted.queue
    job, wait = accepted.job, request.services.waiter.wait
    is_new = not (accepted.replayed or accepted.is_holder)
    # The job is stored: the response is that it was accepted, and no 503.
    with suppress(StoreUnavailableError):
        waited = await request.unless_gone(lambda: wait(queue, job.id, wait_s, is_watched=is_new))
        return waited or job
    return job


ROUTES = (submit_job,)
