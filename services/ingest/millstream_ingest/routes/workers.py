"""Workers: who is alive and what each runs."""

from millstream_contracts import WorkerInfo
from millstream_ingest.answer import Answer
from millstream_ingest.api_request import ApiRequest
from millstream_ingest.listing_answer import Listing, listing_answer
from millstream_ingest.name_pages import page_of
from millstream_ingest.operation import Content, Operation, listing, read
from millstream_ingest.routes import examples

LIST = Operation(
    id="listWorkers",
    tag="Workers",
    summary="List the workers that are alive",
    query=listing(),
    answers={200: Content(model=Listing[WorkerInfo], description="A page", example=Listing([examples.WORKER]))},
)


@read("/v1/workers", LIST)
async def list_workers(request: ApiRequest) -> Answer:
    """List the workers."""
    query = request.read_query(("cursor", "limit"))
    workers = await request.parts.broker.registry.workers()
    items, next_cursor = page_of(workers, lambda worker: worker.name, query.cursor, query.limit)
    return listing_answer(request, query, Listing(items, next_cursor), next_cursor)


ROUTES = (list_workers,)
