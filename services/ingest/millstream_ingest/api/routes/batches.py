"""Batches: jobs that are followed together."""

from millstream_contracts import (
    BatchId,
    BatchMemberPage,
    BatchPage,
    BatchState,
    BatchStatus,
    BatchSubmission,
    FieldError,
    JobId,
    MemberState,
    Scope,
    queue_of,
)
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import Content, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, act, read
from millstream_ingest.api.routes import batch_examples as examples
from millstream_ingest.api.routes import bulk_submission as bulk
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import request_encoding
from millstream_ingest.http.problems import (
    BAD_REQUEST,
    BATCH_CLOSED,
    BATCH_FULL,
    BATCH_NOT_FOUND,
    IDEMPOTENCY_KEY_REUSED,
    INVALID_REQUEST,
    JOB_FORGOTTEN,
    OVERLOADED,
    STORE_FULL,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response
from millstream_ingest.submission.idempotency import HEADER
from millstream_submission import Membership

PATH = "/v1/batches"
_ONE = f"{PATH}/{{batch_id}}"
_JOBS = f"{_ONE}/jobs"
_TAG = "Batches"
_STATES = tuple(state.value for state in BatchState)
_MEMBER_STATES = tuple(state.value for state in MemberState)
_STATUS = Content(model=BatchStatus, description="The batch as it is now", examples=examples.STATUS)

CREATE = Operation(
    id="createBatch",
    tag=_TAG,
    summary="Make a batch",
    description="Jobs that are followed together, and up to three jobs that run because of them: `on_success`, "
    "`on_complete` and `on_death`. The first members may come with it, up to 10,000 of them; when one is refused, "
    "nothing is stored. A batch that is `open` takes more, until it is closed.",
    headers=(
        Parameter(HEADER, "The same key and body within 24 hours return the same batch"),
        Parameter("traceparent", "The trace that the batch continues (W3C Trace Context)"),
        Parameter("tracestate", "Goes with `traceparent`"),
    ),
    body=Content(model=BatchSubmission, examples=examples.SUBMISSIONS),
    answers={
        202: Content(
            model=BatchStatus,
            description="Stored, with its first members",
            examples=examples.STATUS,
            headers={
                "Location": "Path of the batch",
                "Idempotency-Replayed": "`true` when an earlier request had made it",
            },
        )
    },
    problems=(INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED, JOB_FORGOTTEN, STORE_FULL, OVERLOADED),
)
LIST = Operation(
    id="listBatches",
    tag=_TAG,
    summary="List batches",
    description="Newest first.",
    query=listing(Parameter("state", "Only those in this state", {"type": "string", "enum": list(_STATES)}, "open")),
    answers={200: Content(model=BatchPage, description="A page", examples=examples.BATCHES)},
)
GET = Operation(id="getBatch", tag=_TAG, summary="Read a batch", answers={200: _STATUS}, problems=(BATCH_NOT_FOUND,))
MEMBERS = Operation(
    id="listBatchJobs",
    tag=_TAG,
    summary="List the members of a batch",
    description="Those that need a look first: by state (pending, dead, cancelled, expired, succeeded).",
    query=listing(
        Parameter("state", "Only those in this state", {"type": "string", "enum": list(_MEMBER_STATES)}, "dead")
    ),
    answers={200: Content(model=BatchMemberPage, description="A page", examples=examples.MEMBERS)},
    problems=(BATCH_NOT_FOUND,),
)
ADD = Operation(
    id="addBatchJobs",
    tag=_TAG,
    summary="Submit up to 10,000 jobs as members of a batch",
    description="As the submission of many jobs: each is accepted or refused for itself.",
    query=(
        Parameter("by", "Id of the member that adds them: until it has ended it may, also when the batch is closed"),
    ),
    headers=bulk.HEADERS,
    body=bulk.BODY,
    answers={207: bulk.RECEIPT},
    problems=(BATCH_NOT_FOUND, BATCH_CLOSED, BATCH_FULL, *bulk.PROBLEMS),
)
CLOSE = Operation(
    id="closeBatch",
    tag=_TAG,
    summary="Close a batch",
    description="It takes no more members, but from its members, and ends with the last of them. One that is closed "
    "stays as it is.",
    answers={200: _STATUS},
    problems=(BATCH_NOT_FOUND, STORE_FULL),
)
CANCEL = Operation(
    id="cancelBatch",
    tag=_TAG,
    summary="Cancel a batch",
    description="It is closed. Members that wait are cancelled, running ones are asked to stop. `on_complete` and "
    "`on_death` still run, `on_success` does not.",
    answers={200: _STATUS},
    problems=(BATCH_NOT_FOUND, WRONG_STATE, STORE_FULL),
)


@act(PATH, CREATE, Scope.JOBS_SUBMIT, audited=Audited.NOT, narrows=True)
async def create_batch(request: ApiRequest) -> Response:
    """Make a batch."""
    request.read_query()
    services = request.services
    encoding, key = request_encoding(request.body_type), request.idempotency_key
    body = await request.read_body(services.settings.max_batch_body_bytes)
    made = await services.batch_desk.create(
        request.tenant,
        body,
        encoding,
        caller=request.span.context,
        key=key,
        count=request.count_jobs,
        owner=request.principal.owner,
        types=request.principal.types,
    )
    if made.jobs:
        request.span.carries(made.jobs)
    headers = {"Location": f"{PATH}/{made.status.id}"}
    return Response(made.status, 202, {**headers, "Idempotency-Replayed": "true"} if made.replayed else headers)


@read(PATH, LIST, Scope.JOBS_READ, narrows=True)
async def list_batches(request: ApiRequest) -> Response:
    """List batches."""
    query = request.read_query(("state", "cursor", "limit"))
    state = query.word("state", _STATES)
    page = await request.services.batch_desk.page(
        request.tenant,
        BatchState(state) if state else None,
        cursor=query.cursor,
        limit=query.limit,
        # A batch has no types: others add to it what they like.
        owner=request.principal.owner if request.principal.types else None,
    )
    return listing_response(request, query, page, page.next_cursor)


@read(_ONE, GET, Scope.JOBS_READ, own=True)
async def get_batch(request: ApiRequest, batch_id: str) -> Response:
    """Read a batch."""
    request.read_query()
    return Response(await request.services.batch_desk.find(request.tenant, BatchId(batch_id)))


@read(_JOBS, MEMBERS, Scope.JOBS_READ, own=True)
async def list_batch_jobs(request: ApiRequest, batch_id: str) -> Response:
    """List members of a batch."""
    query = request.read_query(("state", "cursor", "limit"))
    state = query.word("state", _MEMBER_STATES)
    page = await request.services.batch_desk.members(
        request.tenant,
        BatchId(batch_id),
        MemberState(state) if state else None,
        cursor=query.cursor,
        limit=query.limit,
    )
    return listing_response(request, query, page, page.next_cursor)


@act(_JOBS, ADD, Scope.JOBS_SUBMIT, audited=Audited.NOT)
async def add_batch_jobs(request: ApiRequest, batch_id: str) -> Response:
    """Submit jobs as members of a batch."""
    by = request.read_query(("by",)).values.get("by")
    if by is not None and queue_of(request.tenant, by) is None:
        raise IngestError(BAD_REQUEST, errors=[FieldError("?by", "expected the id of a job")])
    asked = await bulk.read_batch_request(request, _JOBS)
    membership = Membership(BatchId(batch_id), JobId(by) if by else None)
    return bulk.receipt_response(request, await request.services.batch_desk.add(asked, membership))


@act(f"{_ONE}/close", CLOSE, Scope.JOBS_SUBMIT, audited=Audited.NOT)
async def close_batch(request: ApiRequest, batch_id: str) -> Response:
    """Close a batch."""
    request.read_query()
    return Response(await request.services.batch_desk.close(request.tenant, BatchId(batch_id)))


@act(f"{_ONE}/cancel", CANCEL, Scope.JOBS_MANAGE, own=True)
async def cancel_batch(request: ApiRequest, batch_id: str) -> Response:
    """Cancel a batch."""
    request.read_query()
    return Response(await request.services.batch_desk.cancel(request.tenant, BatchId(batch_id)))


ROUTES = (create_batch, list_batches, get_batch, list_batch_jobs, add_batch_jobs, close_batch, cancel_batch)
