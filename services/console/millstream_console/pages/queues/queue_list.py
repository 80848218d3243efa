"""The list of queues, and one queue."""

from collections.abc import Callable
from typing import Any

from litestar import Response, get

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.web.visit import Visit
from millstream_contracts import QueueStatus

SHOWN = ("all", "attention", "paused", "idle")
SORTS: dict[str, Callable[[QueueStatus], int | float | str]] = {
    "ready": lambda queue: -ready(queue),
    "running": lambda queue: -queue.running,
    "dead": lambda queue: -queue.dead,
    "oldest": lambda queue: -queue.oldest_ready_age_s,
    "type": lambda queue: queue.type,
}
LATE_S = 60.0
"""A ready job that waits longer than this wants a look."""


async def read_queues(client: Client, *, name: str, show: str, sort: str) -> Content:
    """Return the queues whose type contains a text, sorted."""
    every = [queue for queue in await client.queues() if name.lower() in queue.type.lower()]
    groups = {one: [queue for queue in every if _belongs(queue, one)] for one in SHOWN}
    return {
        "queues": sorted(groups[show], key=SORTS[sort]),
        "counts": {one: len(queues) for one, queues in groups.items()},
        "total_ready": sum(map(ready, groups[show])),
        "query": {"name": name, "show": show},
        "name": name,
        "show": show,
        "sort": sort,
        "state_of": state_of,
        "ready": ready,
        "late_s": LATE_S,
    }


QUEUES = View("queues.html", read_queues, "queues")


@get("/queues")
async def show_queues(visit: Visit) -> Response[Any]:
    """Show all queues."""
    return await visit.show(
        QUEUES,
        name=visit.text("name"),
        show=visit.choice("show", SHOWN, "all"),
        sort=visit.choice("sort", tuple(SORTS), "ready"),
    )


def ready(queue: QueueStatus) -> int:
    """Return how many jobs of a queue are ready, of all priorities."""
    return sum(queue.queued.values())


def state_of(queue: QueueStatus) -> str:
    """Return the state of a queue in a word that has a shape."""
    if queue.paused:
        return "paused"
    return "stalled" if queue.oldest_ready_age_s > LATE_S else "active"


def _belongs(queue: QueueStatus, group: str) -> bool:
    match group:
        case "attention":
            return bool(queue.dead) or state_of(queue) != "active"
        case "paused":
            return queue.paused
        case "idle":
            return not (ready(queue) or queue.running or queue.scheduled or queue.blocked)
    return True


HANDLERS = (show_queues,)
