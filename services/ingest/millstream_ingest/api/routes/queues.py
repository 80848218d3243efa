"""Queues: how much waits, runs and is dead, by job type."""

from millstream_contracts import JobType, QueueStatus, Scope
from millstream_ingest.api.listing import Listing, listing_response
from millstream_ingest.api.operation import Content, Operation, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import NOT_FOUND
from millstream_ingest.http.response import Response

_TAG = "Queues"

LIST = Operation(
    id="listQueues",
    tag=_TAG,
    summary="Count what the queues hold",
    description="One item per job type, summed over its partitions, by name.",
    query=listing(),
    answers={
        200: Content(model=Listing[QueueStatus], description="A page", examples=examples.QUEUES),
    },
)
GET = Operation(
    id="getQueue",
    tag=_TAG,
    summary="Count what the queue of one job type holds",
    description="Summed over its partitions.",
    answers={200: Content(model=QueueStatus, description="The counts", examples=examples.QUEUE)},
    problems=(NOT_FOUND,),
)


@read("/v1/queues", LIST, Scope.JOBS_READ, narrows=True)
async def list_queues(request: ApiRequest) -> Response:
    """Count what the queues hold."""
    query = request.read_query(("cursor", "limit"))
    items, next_cursor = await request.services.queue_stats.page(
        request.tenant, cursor=query.cursor, limit=query.limit, types=request.principal.types
    )
    return listing_response(request, query, Listing(items, next_cursor), next_cursor)


@read("/v1/queues/{job_type}", GET, Scope.JOBS_READ)
async def get_queue(request: ApiRequest, job_type: str) -> Response:
    """Count what one queue holds."""
    request.read_query()
    status = await request.services.queue_stats.one(request.tenant, JobType(job_type))
    if status is None:
        raise IngestError(NOT_FOUND, "no job of this type was ever submitted, and no worker has registered it")
    return Response(status)


ROUTES = (list_queues, get_queue)
