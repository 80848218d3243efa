"""The list of queues."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from litestar import Response, get
from msgspec import Struct

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.queues.columns import COLUMNS, OF_HISTORY, choose_columns
from millstream_console.pages.queues.condition import LATE_S, held, ready, state_of
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.fleet import NO_SLOTS, Slots, all_slots, slots_by_type
from millstream_console.reading.past import absence_of
from millstream_console.reading.statistics import NO_FLOW, TypeFlow, flows, read_by_type
from millstream_console.web.visit import Visit
from millstream_contracts import JobType, QueueStatus

SHOWN = ("all", "attention", "paused", "idle")


class Row(Struct, frozen=True):
    """A queue with what comes in and goes out of it."""

    queue: QueueStatus
    flow: TypeFlow


SORTS: dict[str, Callable[[Row], int | float | str]] = {
    "ready": lambda row: -ready(row.queue),
    "running": lambda row: -row.queue.running,
    "dead": lambda row: -row.queue.dead,
    "oldest": lambda row: -row.queue.oldest_ready_age_s,
    "in": lambda row: -row.flow.in_per_s,
    "out": lambda row: -row.flow.out_per_s,
    "type": lambda row: row.queue.type,
}


async def read_queues(client: Client, *, name: str, show: str, sort: str, columns: str) -> Content:
    """Return the queues whose type contains a text, sorted; `columns` are the names of those to show."""
    async with AtOnce() as reads:
        queues = reads.begin(client.queues())
        workers = reads.begin(client.workers())
        by_type = reads.begin(read_by_type(client))
    slots = slots_by_type(workers.value)
    flow = flows(by_type.value, datetime.now(UTC))
    state = partial(_state_of, slots)
    every = [queue for queue in queues.value if name.lower() in queue.type.lower()]
    groups = {one: [queue for queue in every if _belongs(queue, state(queue), one)] for one in SHOWN}
    absence = absence_of(by_type.value)
    return {
        "columns": COLUMNS,
        "chosen": COLUMNS.chosen(columns),
        "shown": [one for one in COLUMNS.chosen(columns) if not (absence and one.name in OF_HISTORY)],
        "queues": sorted(groups[show], key=lambda queue: SORTS[sort](Row(queue, _of(flow, queue)))),
        "counts": {one: len(queues) for one, queues in groups.items()},
        "total_ready": sum(map(ready, groups[show])),
        "total_in": sum(_of(flow, queue).in_per_s for queue in groups[show]),
        "total_out": sum(_of(flow, queue).out_per_s for queue in groups[show]),
        "total_slots": all_slots(workers.value),
        "flow_of": partial(_of, flow),
        "slots_of": lambda queue: slots.get(queue.type, NO_SLOTS),
        "absence": absence,
        "sortable": SORTS.keys(),
        "query": {"name": name, "show": show},
        "name": name,
        "show": show,
        "sort": sort,
        "state_of": state,
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
        # By their names, in their order: all who have chosen the same share one reading.
        columns="+".join(one.name for one in COLUMNS.chosen(visit.request.cookies.get(COLUMNS.cookie))),
    )


def _of(flow: Mapping[JobType, TypeFlow], queue: QueueStatus) -> TypeFlow:
    return flow.get(queue.type, NO_FLOW)


def _state_of(slots: Mapping[str, Slots], queue: QueueStatus) -> str:
    return state_of(queue, has_worker=queue.type in slots)


def _belongs(queue: QueueStatus, state: str, group: str) -> bool:
    match group:
        case "attention":
            return bool(queue.dead) or state != "active"
        case "paused":
            return queue.paused
        case "idle":
            return not held(queue)
    return True


HANDLERS: tuple[Any, ...] = (show_queues, choose_columns)
