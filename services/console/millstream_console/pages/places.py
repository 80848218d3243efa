"""What the palette finds by name: pages and job types."""

from litestar import MediaType, Response, get
from msgspec import Struct

from millstream import ApiError
from millstream_console.web.navigation import GROUPS
from millstream_console.web.visit import Visit
from millstream_contracts import Scope


class FoundPlace(Struct, frozen=True):
    """One line of the palette."""

    word: str
    to: str
    icon: str
    note: str


@get("/places.json", media_type=MediaType.JSON)
async def list_places(visit: Visit) -> Response[list[FoundPlace]]:
    """List the pages, and the types that there are."""
    allowed = [place for group in GROUPS for place in group if visit.may(place.scope)]
    places = [FoundPlace(place.word, visit.at(place.path), place.name, f"g {place.key}") for place in allowed]
    try:
        types = [queue.type for queue in await visit.client.queues()] if visit.may(Scope.JOBS_READ) else []
    except ApiError:
        types = []
    places += [FoundPlace(name, visit.at(f"/queues/{name}"), "queues", "queue") for name in types]
    return Response(places, headers={"Cache-Control": "no-store"})


HANDLERS = (list_places,)
