"""What answers the requests to a route."""

from collections.abc import Awaitable, Callable

from millstream_ingest.http.response import Response

Handler = Callable[..., Awaitable[Response]]
"""Takes the request, and each parameter of the path by its name."""
