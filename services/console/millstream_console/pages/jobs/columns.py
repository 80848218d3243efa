"""The columns of the list of jobs, which a person chooses; the choice is kept in a cookie."""

from typing import Any

from litestar import Response, post
from litestar.datastructures import Cookie
from msgspec import Struct

from millstream_console.web.visit import Visit

COOKIE = "millstream-columns"
_KEEP_S = 365 * 86_400


class Column(Struct, frozen=True):
    """A column that can be left out."""

    name: str
    word: str
    look: str
    """The classes of its cells: `n` for numbers, `p1` to `p3` for the widths at which it goes."""
    is_usual: bool = True


COLUMNS = (
    Column("detail", "Detail", "t p1"),
    Column("tags", "Tags", "p3"),
    Column("attempts", "Attempts", "n p1"),
    Column("ran", "Ran", "n p1"),
    Column("worker", "Worker", "p2 cut", is_usual=False),
    Column("priority", "Priority", "p2", is_usual=False),
    Column("id", "Id", "p2 mono", is_usual=False),
    Column("finished", "Ended", "n p2", is_usual=False),
)


def chosen_columns(cookie: str | None) -> tuple[Column, ...]:
    """Return the columns to show; the usual ones without a choice. The column that shrinks is always there."""
    if cookie is None:
        return tuple(column for column in COLUMNS if column.is_usual)
    names = cookie.split("+")
    return tuple(column for column in COLUMNS if column.name in names or "t" in column.look.split())


@post("/jobs/columns")
async def choose_columns(visit: Visit) -> Response[bytes]:
    """Keep the choice of columns."""
    form = await visit.form()
    known = [column.name for column in COLUMNS]
    chosen = "+".join(name for name in known if name in form.texts("column"))
    response = visit.go_back(form.text("back"), "/jobs")
    cookie = Cookie(COOKIE, value=chosen, path=visit.at("") or "/", max_age=_KEEP_S, httponly=True, samesite="lax")
    response.cookies.append(cookie)
    return response


HANDLERS: tuple[Any, ...] = (choose_columns,)
