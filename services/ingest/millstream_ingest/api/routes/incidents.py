"""Incidents: what is wrong for so long that people are told."""

from millstream_contracts import Incident, OpenIncident, Scope, moment
from millstream_ingest.api.listing import Listing
from millstream_ingest.api.operation import Content, Operation
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import read
from millstream_ingest.api.routes import examples
from millstream_ingest.http.response import Response

LIST = Operation(
    id="listIncidents",
    tag="Incidents",
    summary="List what is wrong",
    description="The open incidents of the installation, oldest first.",
    answers={
        200: Content(model=Listing[OpenIncident], description="The only page", examples=examples.INCIDENTS),
    },
)


@read("/v1/incidents", LIST, Scope.QUEUES_MANAGE)
async def list_incidents(request: ApiRequest) -> Response:
    """List what is wrong."""
    request.require_operator()
    request.read_query()
    found = await request.services.broker.registry.incidents()
    return Response(Listing([_shown(incident) for incident in found]))


def _shown(incident: Incident) -> OpenIncident:
    return OpenIncident(
        rule=incident.rule,
        about=incident.key,
        summary=incident.summary,
        opened_at=moment(incident.opened_ms),
        notices=incident.notices,
    )


ROUTES = (list_incidents,)
