"""Workflows: graphs of jobs."""

from functools import partial

from millstream_contracts import (
    NodeFilter,
    RerunRequest,
    Scope,
    WorkflowAccepted,
    WorkflowId,
    WorkflowNodePage,
    WorkflowPage,
    WorkflowState,
    WorkflowStatus,
    WorkflowSubmission,
    limits,
)
from millstream_history import WorkflowQuery
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import SWITCH, Content, Operation, Parameter, listing, seconds
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, act, read
from millstream_ingest.api.routes import workflow_examples as examples
from millstream_ingest.http.negotiation import request_encoding
from millstream_ingest.http.problems import (
    HISTORY_UNAVAILABLE,
    IDEMPOTENCY_KEY_REUSED,
    INVALID_REQUEST,
    JOB_FORGOTTEN,
    STORE_FULL,
    WORKFLOW_FORGOTTEN,
    WORKFLOW_NOT_FOUND,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response
from millstream_ingest.submission.idempotency import HEADER

PATH = "/v1/workflows"
_ONE = f"{PATH}/{{workflow_id}}"
_TAG = "Workflows"
_STATES = tuple(state.value for state in WorkflowState)
_FILTERS = tuple(one.value for one in NodeFilter)
_TIME: dict[str, object] = {"type": "string", "format": "date-time"}
_REPLAYED = {"Idempotency-Replayed": "`true` when an earlier request had done it"}
_STATUS = Content(model=WorkflowStatus, description="The workflow as it is now", examples=examples.STATUS)

SUBMIT = Operation(
    id="submitWorkflow",
    tag=_TAG,
    summary="Submit a workflow",
    description="A graph of up to 10,000 jobs in one request: all of it is stored, or nothing. A node runs once those "
    "before it have ended: those to whose results its payload refers, and those in `after`. Each node keeps the rules "
    "of a submission; a payload with references is checked by the schema of its type when its job is made.",
    headers=(
        Parameter(HEADER, "The same key and body within 24 hours return the same workflow"),
        Parameter("traceparent", "The trace that the workflow continues (W3C Trace Context)"),
        Parameter("tracestate", "Goes with `traceparent`"),
    ),
    body=Content(model=WorkflowSubmission, examples=examples.SUBMISSIONS),
    answers={
        202: Content(
            model=WorkflowAccepted,
            description="Stored; it runs",
            examples=examples.ACCEPTED,
            headers={"Location": "Path of the workflow", **_REPLAYED},
        )
    },
    problems=(INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED, JOB_FORGOTTEN, STORE_FULL),
)
LIST = Operation(
    id="listWorkflows",
    tag=_TAG,
    summary="List workflows",
    description="Newest first: those in Redis, and those in the history whose `retention_s` is over. With `complete: "
    "false` the history could not be read.",
    query=listing(
        Parameter("state", "Only those in this state", {"type": "string", "enum": list(_STATES)}, "running"),
        Parameter("name", "Only those with this name", {"type": "string"}, "month-end"),
        Parameter("created_after", "Only those that were submitted at this time or later", _TIME),
        Parameter("created_before", "Only those that were submitted before this time", _TIME),
    ),
    answers={200: Content(model=WorkflowPage, description="A page", examples=examples.WORKFLOWS)},
)
GET = Operation(
    id="getWorkflow",
    tag=_TAG,
    summary="Read a workflow with its nodes",
    description="The nodes come page by page, in the order of the submission. One whose `retention_s` is over comes "
    "from the history, and says so by `source`. With `wait` the response is held back until the workflow has ended or "
    "is stalled, or the time is over.",
    query=listing(
        seconds("Hold the answer back until the workflow has ended or is stalled, at most so many seconds"),
        Parameter(
            "nodes",
            "Only nodes in this state; `failed` are those that are dead, cancelled or expired",
            {"type": "string", "enum": list(_FILTERS)},
            "failed",
        ),
        Parameter("results", "1 adds to each node whose results it takes, and how large they are", SWITCH),
    ),
    answers={
        200: Content(model=WorkflowNodePage, description="The workflow, and a page of nodes", examples=examples.NODES)
    },
    problems=(WORKFLOW_NOT_FOUND, HISTORY_UNAVAILABLE),
)
CANCEL = Operation(
    id="cancelWorkflow",
    tag=_TAG,
    summary="Cancel a workflow",
    description="Nodes that wait are cancelled, and so are jobs that wait; running jobs are asked to stop.",
    answers={200: _STATUS},
    problems=(WORKFLOW_NOT_FOUND, WRONG_STATE, STORE_FULL, HISTORY_UNAVAILABLE),
)
RERUN = Operation(
    id="rerunWorkflow",
    tag=_TAG,
    summary="Run nodes of a workflow again",
    description="The nodes that are named, or all that failed, with all behind them. They get new jobs; the results of "
    "the others are kept. None of them may be starting or running.",
    headers=(Parameter(HEADER, "The same key is the same rerun"),),
    body=Content(model=RerunRequest, examples=examples.RERUNS),
    answers={
        200: Content(
            model=WorkflowStatus,
            description="The workflow as it is now",
            examples=examples.STATUS,
            headers=_REPLAYED,
        )
    },
    problems=(
        WORKFLOW_NOT_FOUND,
        INVALID_REQUEST,
        WRONG_STATE,
        WORKFLOW_FORGOTTEN,
        STORE_FULL,
        HISTORY_UNAVAILABLE,
    ),
)


@act(PATH, SUBMIT, Scope.WORKFLOWS_MANAGE, audited=Audited.NOT, narrows=True)
async def submit_workflow(request: ApiRequest) -> Response:
    """Store a workflow."""
    request.read_query()
    services = request.services
    encoding, key = request_encoding(request.body_type), request.idempotency_key
    most = min(limits.MAX_WORKFLOW_BODY_BYTES, services.settings.max_batch_body_bytes)
    body = await request.read_body(most)
    count = partial(request.count_jobs, counted=0)
    made = await services.workflow_desk.submit(
        request.tenant,
        body,
        encoding,
        caller=request.span.context,
        key=key,
        count=count,
        owner=request.principal.owner,
        types=request.principal.types,
    )
    headers = {"Location": f"{PATH}/{made.accepted.id}"}
    return Response(made.accepted, 202, {**headers, "Idempotency-Replayed": "true"} if made.replayed else headers)


@read(PATH, LIST, Scope.JOBS_READ, narrows=True)
async def list_workflows(request: ApiRequest) -> Response:
    """List workflows."""
    query = request.read_query(("state", "name", "created_after", "created_before", "cursor", "limit"))
    state = query.word("state", _STATES)
    asked = WorkflowQuery(
        states=frozenset({WorkflowState(state)}) if state else None,
        name=query.name,
        created_after=query.time("created_after"),
        created_before=query.time("created_before"),
        types=request.principal.types,
    )
    page = await request.services.workflow_desk.page(request.tenant, asked, cursor=query.cursor, limit=query.limit)
    return listing_response(request, query, page, page.next_cursor)


@read(_ONE, GET, Scope.JOBS_READ, own=True)
async def get_workflow(request: ApiRequest, workflow_id: str) -> Response:
    """Read a workflow with a page of its nodes."""
    query = request.read_query(("nodes", "results", "wait", "cursor", "limit"))
    which = query.word("nodes", _FILTERS)
    wait_s, services = query.wait_s, request.services
    if wait_s > 0:
        waited = services.waiter.wait_for_workflow
        await request.unless_gone(lambda: waited(request.tenant, WorkflowId(workflow_id), wait_s))
    page = await services.workflow_desk.find(
        request.tenant,
        WorkflowId(workflow_id),
        NodeFilter(which) if which else None,
        cursor=query.cursor,
        limit=query.limit,
        with_inputs=query.switch("results"),
    )
    return listing_response(request, query, page, page.next_cursor)


@act(f"{_ONE}/cancel", CANCEL, Scope.WORKFLOWS_MANAGE, own=True)
async def cancel_workflow(request: ApiRequest, workflow_id: str) -> Response:
    """Cancel a workflow."""
    request.read_query()
    return Response(await request.services.workflow_desk.cancel(request.tenant, WorkflowId(workflow_id)))


@act(f"{_ONE}/rerun", RERUN, Scope.WORKFLOWS_MANAGE)
async def rerun_workflow(request: ApiRequest, workflow_id: str) -> Response:
    """Run nodes of a workflow again."""
    request.read_query()
    asked, key = await request.read_as(RerunRequest), request.idempotency_key
    found, replayed = await request.services.workflow_desk.rerun(request.tenant, WorkflowId(workflow_id), asked, key)
    return Response(found, headers={"Idempotency-Replayed": "true"} if replayed else {})


ROUTES = (submit_workflow, list_workflows, get_workflow, cancel_workflow, rerun_workflow)
