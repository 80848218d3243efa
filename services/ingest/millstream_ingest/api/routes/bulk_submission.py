"""Many jobs in one request."""

from millstream_contracts import Batch, BatchReceipt, Scope
from millstream_ingest.api.operation import Content, Operation, Parameter
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, act
from millstream_ingest.api.routes import examples
from millstream_ingest.http.negotiation import batch_format
from millstream_ingest.http.problems import (
    BACKLOG_FULL,
    INVALID_REQUEST,
    KEY_BACKLOG_FULL,
    NOT_DURABLE,
    OVERLOADED,
    STORE_FULL,
)
from millstream_ingest.http.response import Response
from millstream_ingest.submission.batch_bodies import split_batch
from millstream_ingest.submission.batch_request import PATH, BatchRequest
from millstream_ingest.submission.idempotency import HEADER

HEADERS = (
    Parameter(HEADER, "Makes the batch safe to repeat: each job by this key and its index"),
    Parameter(
        "Prefer",
        "`handling=strict`: all jobs, or none when one is refused. "
        "`durability=replicated` and `durability=fsynced` answer once a replica, or the disk, has it too",
        example="handling=strict",
    ),
    Parameter("traceparent", "The trace that the jobs are linked to (W3C Trace Context)"),
    Parameter("tracestate", "Goes with `traceparent`"),
)
"""Those of each route that takes many jobs."""

BODY = Content(
    model=Batch,
    examples=examples.BATCHES,
    sequences={"application/x-ndjson": examples.LINES, "application/vnd.msgpack-seq": {}},
)
RECEIPT = Content(
    model=BatchReceipt,
    description="What became of each job, in the order of the request",
    examples=examples.RECEIPT,
    headers={
        "Preference-Applied": "`handling=strict`, `durability=…`",
        "Idempotency-Replayed": "`true` when an earlier request had made all of the jobs",
    },
)
PROBLEMS = (INVALID_REQUEST, STORE_FULL, BACKLOG_FULL, KEY_BACKLOG_FULL, NOT_DURABLE, OVERLOADED)

SUBMIT_MANY = Operation(
    id="submitJobs",
    tag="Jobs",
    summary="Submit up to 10,000 jobs",
    description=(
        "Each job is accepted or refused for itself. The body is an object with `jobs`, or one job after the other: "
        "a line each (`application/x-ndjson`), or one MessagePack object each (`application/vnd.msgpack-seq`)."
    ),
    headers=HEADERS,
    body=BODY,
    answers={207: RECEIPT},
    problems=PROBLEMS,
)


@act(PATH, SUBMIT_MANY, Scope.JOBS_SUBMIT, audited=Audited.NOT, narrows=True)
async def submit_jobs(request: ApiRequest) -> Response:
    """Submit many jobs."""
    request.read_query()
    batch = await read_batch_request(request)
    return receipt_response(request, await request.services.batch_submitter.submit(batch))


async def read_batch_request(request: ApiRequest, route: str = PATH) -> BatchRequest:
    """Read the jobs of a request. Raises: IngestError, SubmissionError."""
    format = batch_format(request.body_type)
    key, preferences = request.idempotency_key, request.preferences
    jobs = split_batch(await request.read_body(request.services.settings.max_batch_body_bytes), format)
    request.span.carries(len(jobs))
    await request.count_jobs(len(jobs))
    return BatchRequest(
        request.tenant,
        jobs,
        format,
        caller=request.span.context,
        key=key,
        strict=preferences.strict,
        durability=preferences.durability,
        route=route,
        types=request.principal.types,
        owner=request.principal.owner,
    )


def receipt_response(request: ApiRequest, receipt: BatchReceipt) -> Response:
    """Return the answer to a request with many jobs."""
    headers = request.preferences.applied("handling", "durability")
    if all(item.replayed for item in receipt.items):
        headers["Idempotency-Replayed"] = "true"
    return Response(receipt, 207, headers)


ROUTES = (submit_jobs,)
