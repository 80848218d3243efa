"""A page as the console knows it: its template, and what reads what the template shows."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

Arguments = Mapping[str, str | int | bool | None]
"""What the path and the query of a page say, by name."""

Content = Mapping[str, object]
"""What a template shows, by name."""

STILL = "is_still"
"""What a view has in its content, and has as true, where nothing that it shows moves without an event."""

Moved = Callable[[], None]
"""Says that something has happened to what a page shows."""

Follow = Callable[..., Awaitable[None]]
"""Takes the client, what to call at each event, and the arguments of the view by name. Ends by an error alone.

Raises: ApiError.
"""

Gather = Callable[..., Awaitable[Content]]
"""Takes the client, and the arguments of the view by name. Raises: ApiError."""


class View(Struct, frozen=True):
    """A page. Views are told apart by their templates."""

    template: str
    gather: Gather
    place: str
    """The entry of the navigation that is marked: `overview`, `queues` and so on."""
    refresh: Gather | None = None
    """What is read in place of `gather` while the page is open, where its live blocks show less than the page."""
    follow: Follow | None = None
    """What tells of events, so that the page is read at once."""

    @property
    def while_open(self) -> "View":
        """Return the view as it is read for the live blocks alone."""
        return self if self.refresh is None else replace(self, gather=self.refresh, refresh=None)


Read = Callable[[View, Arguments], Awaitable[Content]]
"""Reads what a page and its frame show. Raises: ApiError."""

FollowPage = Callable[[View, Arguments, Moved], Awaitable[None]]
"""Calls a function at each event of what a page shows, until it fails. Raises: ApiError."""


class Reader(Struct, frozen=True):
    """Reads pages with the rights of one session. What it reads is shown to no other."""

    key: str
    """Tells readers apart."""
    read: Read
    follow: FollowPage | None = None
