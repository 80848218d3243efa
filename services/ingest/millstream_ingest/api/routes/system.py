"""The system: how the installation fares, as `millstream doctor` would say."""

from millstream_contracts import Scope, System
from millstream_ingest.api.operation import Content, Operation
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.response import Response

GET = Operation(
    id="getSystem",
    tag="System",
    summary="Read how the installation fares",
    description="Redis, the history, the processes of the services with their duties, and a check for each thing that "
    "was looked at. What cannot be asked is a check that is bad, and no failure. Looked at anew after five seconds.",
    answers={200: Content(model=System, description="What was found", examples=examples.SYSTEM)},
)


@read("/v1/system", GET, Scope.QUEUES_MANAGE)
async def get_system(request: ApiRequest) -> Response:
    """Read how the installation fares."""
    request.require_operator()
    request.read_query()
    return Response(await request.services.system.look(request.tenant))


ROUTES = (get_system,)
