"""The columns of the list of jobs."""

from typing import Any

from litestar import Response, post

from millstream_console.pages.columns import Column, Columns
from millstream_console.web.visit import Visit

COLUMNS = Columns(
    (
        Column("detail", "Detail", "t p1"),
        Column("tags", "Tags", "p3"),
        Column("attempts", "Attempts", "n p1"),
        Column("ran", "Ran", "n p1"),
        Column("worker", "Worker", "p2 cut", is_usual=False),
        Column("priority", "Priority", "p2", is_usual=False),
        Column("id", "Id", "p2 mono", is_usual=False),
        Column("finished", "Ended", "n p2", is_usual=False),
    ),
    cookie="millstream-columns",
    path="/jobs",
)


@post("/jobs/columns")
async def choose_columns(visit: Visit) -> Response[bytes]:
    """Keep the choice of columns."""
    return await COLUMNS.keep(visit)


HANDLERS: tuple[Any, ...] = (choose_columns,)
