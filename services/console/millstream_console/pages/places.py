"""What the palette finds by name: pages and job types."""

from litestar import MediaType, Response, get
from msgspec import Struct

from millstream import ApiError
from millstream_console.web.navigation import GROUPS
from millstream_console.web.visit import Visit


class FoundPlace(Struct, frozen=True):
    """One line of the palette."""

    word: str
    to: str
    icon: str
    note: str


@get("/places.json", media_type=MediaType.JSON)
async def list_places(visit: Visit) -> Response[list[FoundPlace]]:
    """List the pages, and the types that there are."""
    places = [FoundPlace(p.word, visit.at(p.path), p.name, f"g {p.key}") for group in GROUPS for p in group]
    try:
        types = [queue.type for queue in await visit.client.queues()]
    except ApiError:
        types = []
    places += [FoundPlace(name, visit.at(f"/queues/{name}"), "queues", "queue") for name in types]
    return Response(places, headers={"Cache-Control": "no-store"})


HANDLERS = (list_places,)
