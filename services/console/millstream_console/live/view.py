"""A page as the console knows it: its template, and what reads what the template shows."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

Arguments = Mapping[str, str | int | bool | None]
"""What the path and the query of a page say, by name."""

Content = Mapping[str, object]
"""What a template shows, by name."""

Gather = Callable[..., Awaitable[Content]]
"""Takes the client, and the arguments of the view by name. Raises: ApiError."""


class View(Struct, frozen=True):
    """A page. Views are told apart by their templates."""

    template: str
    gather: Gather
    place: str
    """The entry of the navigation that is marked: `overview`, `queues` and so on."""


Read = Callable[[View, Arguments], Awaitable[Content]]
"""Reads what a page and its frame show. Raises: ApiError."""
