"""Workers: who is alive, what each runs, and the order to end one when its jobs have ended."""

from millstream_contracts import Scope, WorkerInfo
from millstream_ingest.access.visible_workers import visible_workers
from millstream_ingest.api.listing import Listing, listing_response
from millstream_ingest.api.operation import Content, Operation, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import NOT_FOUND, WORKER_SILENT
from millstream_ingest.http.response import Response
from millstream_ingest.inspection.name_pages import page_of
from millstream_ingest.inspection.worker_drain import DRAINING

LIST = Operation(
    id="listWorkers",
    tag="Workers",
    summary="List the workers that are alive",
    description="By name, each as its last heartbeat described it.",
    query=listing(),
    answers={200: Content(model=Listing[WorkerInfo], description="A page", examples=examples.WORKERS)},
)

DRAIN = Operation(
    id="drainWorker",
    tag="Workers",
    summary="Have a worker end once its jobs have ended",
    description="It takes no more jobs from now on. Those that run go on for as long as they take, and then the "
    "process ends in order; what has started it may start another. Answered once the worker says that it drains.",
    answers={202: Content(model=WorkerInfo, description="It drains", examples=examples.DRAINING_WORKER)},
    problems=(NOT_FOUND, WORKER_SILENT),
)


@read("/v1/workers", LIST, Scope.JOBS_READ)
async def list_workers(request: ApiRequest) -> Response:
    """List the workers."""
    query = request.read_query(("cursor", "limit"))
    workers = visible_workers(request.principal, await request.services.broker.registry.workers())
    items, next_cursor = page_of(workers, lambda worker: worker.name, query.cursor, query.limit)
    return listing_response(request, query, Listing(items, next_cursor), next_cursor)


@act("/v1/workers/{worker}/drain", DRAIN, Scope.QUEUES_MANAGE)
async def drain_worker(request: ApiRequest, worker: str) -> Response:
    """Have a worker end once its jobs have ended."""
    request.require_operator()
    request.read_query()
    found = await request.unless_gone(lambda: request.services.worker_drain.ask(worker))
    if found is None:
        raise IngestError(NOT_FOUND, "there is no worker of this name")
    if found.state != DRAINING:
        raise IngestError(WORKER_SILENT, f"{found.name} has not said that it drains")
    return Response(found, status=202)


ROUTES = (list_workers, drain_worker)
