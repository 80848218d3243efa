"""Operations: one decision about many jobs, carried out page by page."""

from millstream_contracts import BulkOperation, FieldError, NewOperation, Scope
from millstream_history import StoredOperation
from millstream_ingest.api.listing import Listing, listing_response
from millstream_ingest.api.narrowed import foreign_jobs, is_of_types
from millstream_ingest.api.operation import Content, Operation, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import (
    FORBIDDEN,
    HISTORY_UNAVAILABLE,
    INVALID_REQUEST,
    NO_HISTORY,
    NOT_FOUND,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response

_TAG = "Operations"
_FILTERED_AT_ONCE = 200
"""How many are read at once where few of them may be seen."""

_ALWAYS = (NO_HISTORY, HISTORY_UNAVAILABLE)
_OF_ONE = (NOT_FOUND, *_ALWAYS)
_OPERATION = Content(model=BulkOperation, description="The operation", examples=examples.OPERATION)

CREATE = Operation(
    id="createOperation",
    tag=_TAG,
    summary="Redrive, patch, discard, cancel, erase or export many jobs",
    description="Those that a search finds, those of some ids, or those of a group; at a rate, after a trial with a "
    "few, or only counted. Jobs that die after this request are left alone, so that none is redriven twice.",
    body=Content(model=NewOperation, examples=examples.NEW_OPERATIONS),
    answers={202: _OPERATION},
    problems=(INVALID_REQUEST, *_ALWAYS),
)
LIST = Operation(
    id="listOperations",
    tag=_TAG,
    summary="List operations",
    description="Newest first.",
    query=listing(),
    answers={200: Content(model=Listing[BulkOperation], description="A page", examples=examples.OPERATIONS)},
    problems=_ALWAYS,
)
GET = Operation(id="getOperation", tag=_TAG, summary="Read an operation", answers={200: _OPERATION}, problems=_OF_ONE)
PAUSE = Operation(
    id="pauseOperation",
    tag=_TAG,
    summary="Pause an operation",
    description="The page that is under way is finished.",
    answers={200: _OPERATION},
    problems=(WRONG_STATE, *_OF_ONE),
)
RESUME = Operation(
    id="resumeOperation",
    tag=_TAG,
    summary="Let a paused operation go on",
    description="Also one that its canary has paused: then without a further trial.",
    answers={200: _OPERATION},
    problems=(WRONG_STATE, *_OF_ONE),
)
CANCEL = Operation(
    id="cancelOperation",
    tag=_TAG,
    summary="End an operation",
    description="What it has done stays done.",
    answers={200: _OPERATION},
    problems=(WRONG_STATE, *_OF_ONE),
)


@act("/v1/operations", CREATE, Scope.JOBS_MANAGE, narrows=True)
async def create_operation(request: ApiRequest) -> Response:
    """Redrive, patch, discard, erase or export many jobs."""
    request.read_query()
    asked = await request.read_as(NewOperation)
    _check_types(request, asked)
    made = await request.services.bulk_operations.add(request.history, request.tenant, asked)
    return Response(made, 202, {"Location": f"/v1/operations/{made.id}"})


@read("/v1/operations", LIST, Scope.JOBS_READ, narrows=True)
async def list_operations(request: ApiRequest) -> Response:
    """List operations."""
    query = request.read_query(("cursor", "limit"))
    found, next_cursor = await _page(request, query.cursor, query.limit)
    page = Listing([one.shown for one in found], next_cursor)
    return listing_response(request, query, page, next_cursor)


@read("/v1/operations/{operation_id}", GET, Scope.JOBS_READ)
async def get_operation(request: ApiRequest, operation_id: str) -> Response:
    """Read an operation."""
    request.read_query()
    return Response(await request.services.bulk_operations.find(request.history, request.tenant, operation_id))


@act("/v1/operations/{operation_id}/pause", PAUSE, Scope.JOBS_MANAGE)
async def pause_operation(request: ApiRequest, operation_id: str) -> Response:
    """Pause an operation."""
    return await _steer(request, operation_id, "pause")


@act("/v1/operations/{operation_id}/resume", RESUME, Scope.JOBS_MANAGE)
async def resume_operation(request: ApiRequest, operation_id: str) -> Response:
    """Let a paused operation go on."""
    return await _steer(request, operation_id, "resume")


@act("/v1/operations/{operation_id}/cancel", CANCEL, Scope.JOBS_MANAGE)
async def cancel_operation(request: ApiRequest, operation_id: str) -> Response:
    """End an operation."""
    return await _steer(request, operation_id, "cancel")


async def _page(request: ApiRequest, before: str | None, limit: int) -> tuple[list[StoredOperation], str | None]:
    """Return a page of the operations that the principal may see, and the cursor of the next."""
    operations = request.history.operations
    if not request.principal.types:
        found = await operations.of(request.tenant, before=before, limit=limit)
        return found, found[-1].shown.id if len(found) == limit else None
    seen: list[StoredOperation] = []
    while True:
        some = await operations.of(request.tenant, before=before, limit=_FILTERED_AT_ONCE)
        seen += [one for one in some if is_of_types(request, one)]
        if len(seen) > limit:
            # One more than the page has: a cursor tells of no others than those that may be seen.
            return seen[:limit], seen[limit - 1].shown.id
        if len(some) < _FILTERED_AT_ONCE:
            return seen, None
        before = some[-1].shown.id


def _check_types(request: ApiRequest, asked: NewOperation) -> None:
    """Refuse what is about other job types than those of the principal. Raises: IngestError (403)."""
    for pointer, job_type in foreign_jobs(request, asked):
        if job_type:
            check_type(request.principal.types, job_type, pointer)
        detail = "a search is about all job types: name `ids` or a `group`, because the key is for some types alone"
        raise IngestError(FORBIDDEN, detail, [FieldError(pointer, detail)])


async def _steer(request: ApiRequest, operation_id: str, verb: str) -> Response:
    request.read_query()
    operations = request.services.bulk_operations
    return Response(await operations.steer(request.history, request.tenant, operation_id, verb))


ROUTES = (create_operation, list_operations, get_operation, pause_operation, resume_operation, cancel_operation)
