"""The columns of a list, which a person chooses; the choice is kept in a cookie."""

from collections.abc import Sequence

from litestar import Response
from litestar.datastructures import Cookie
from msgspec import Struct

from millstream_console.web.visit import Visit

_KEEP_S = 365 * 86_400


class Column(Struct, frozen=True):
    """A column that can be left out."""

    name: str
    word: str
    look: str
    """The classes of its cells: `n` for numbers, `p1` to `p3` for the widths at which it goes."""
    is_usual: bool = True


class Columns(Struct, frozen=True):
    """The columns of one list."""

    every: Sequence[Column]
    cookie: str
    path: str
    """Of the list; the choice is sent to `columns` below it."""

    def chosen(self, cookie: str | None) -> tuple[Column, ...]:
        """Return the columns to show; the usual ones without a choice. A column that shrinks is always there."""
        if cookie is None:
            return tuple(column for column in self.every if column.is_usual)
        names = cookie.split("+")
        return tuple(column for column in self.every if column.name in names or "t" in column.look.split())

    async def keep(self, visit: Visit) -> Response[bytes]:
        """Keep the choice of a form, and lead back to the list."""
        form = await visit.form()
        names = "+".join(column.name for column in self.every if column.name in form.texts("column"))
        response = visit.go_back(form.text("back"), self.path)
        path = visit.at("") or "/"
        response.cookies.append(
            Cookie(self.cookie, value=names, path=path, max_age=_KEEP_S, httponly=True, samesite="lax")
        )
        return response
