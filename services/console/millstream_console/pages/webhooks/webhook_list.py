"""The list of endpoints."""

from typing import Any

from litestar import Response, get

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.webhooks import endpoint_words
from millstream_console.reading.past import Absence, unless_absent
from millstream_console.web.visit import Visit


async def read_webhooks(client: Client) -> Content:
    """Return the endpoints, those in trouble first."""
    found = await unless_absent(client.webhooks())
    absence = found if isinstance(found, Absence) else None
    webhooks = [] if isinstance(found, Absence) else found
    ranks = {"disabled": 1, "retrying": 0, "enabled": 2}
    return {
        "webhooks": sorted(webhooks, key=lambda one: (ranks[endpoint_words.state_of(one)], one.created_at)),
        "absence": absence,
        "words": endpoint_words,
    }


WEBHOOKS = View("webhooks.html", read_webhooks, "webhooks")


@get("/webhooks")
async def show_webhooks(visit: Visit) -> Response[Any]:
    """Show all endpoints."""
    return await visit.show(WEBHOOKS)


HANDLERS = (show_webhooks,)
