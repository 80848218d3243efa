"""Workers: who is alive and what each runs."""

from millstream_contracts import WorkerInfo
from millstream_ingest.api.listing import Listing, listing_response
from millstream_ingest.api.operation import Content, Operation, listing
from millstream_ingest.api.principal import Scope
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.response import Response
from millstream_ingest.inspection.name_pages import page_of

LIST = Operation(
    id="listWorkers",
    tag="Workers",
    summary="List the workers that are alive",
    description="By name, each as its last heartbeat described it.",
    query=listing(),
    answers={200: Content(model=Listing[WorkerInfo], description="A page", examples=examples.WORKERS)},
)


@read("/v1/workers", LIST, Scope.JOBS_READ)
async def list_workers(request: ApiRequest) -> Response:
    """List the workers."""
    query = request.read_query(("cursor", "limit"))
    workers = await request.services.broker.registry.workers()
    items, next_cursor = page_of(workers, lambda worker: worker.name, query.cursor, query.limit)
    return listing_response(request, query, Listing(items, next_cursor), next_cursor)


ROUTES = (list_workers,)
