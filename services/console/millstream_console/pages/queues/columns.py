"""The columns of the list of queues."""

from litestar import Response, post

from millstream_console.pages.columns import Column, Columns
from millstream_console.web.visit import Visit

COLUMNS = Columns(
    (
        Column("running", "Running", "n"),
        Column("slots", "Slots", "n p3"),
        Column("workers", "Workers", "n p2", is_usual=False),
        Column("scheduled", "Scheduled", "n p2"),
        Column("blocked", "Blocked", "n p3"),
        Column("dead", "Dead", "n"),
        Column("oldest", "Oldest", "n"),
        Column("in", "In", "n p1"),
        Column("out", "Out", "n p1"),
        Column("failed", "Failed, 1 h", "n p2", is_usual=False),
        Column("ended", "Ended, 1 h", "p2"),
        Column("partitions", "Partitions", "n p3", is_usual=False),
    ),
    cookie="millstream-queue-columns",
    path="/queues",
)

OF_HISTORY = frozenset({"in", "out", "failed", "ended"})
"""Columns that there are only with a history."""


@post("/queues/columns")
async def choose_columns(visit: Visit) -> Response[bytes]:
    """Keep the choice of columns."""
    return await COLUMNS.keep(visit)
