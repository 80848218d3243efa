"""A request as the routes see it: its tenant, its body within bounds, its query, its span."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from litestar import Request

from millstream_contracts import Tenant
from millstream_ingest.api.principal import tenant_of
from millstream_ingest.assembly import Parts
from millstream_ingest.http.client_watch import unless_gone
from millstream_ingest.http.preferences import Preferences, parse_preferences
from millstream_ingest.http.query import Query, parse_query
from millstream_ingest.submission.idempotency import HEADER, IdempotencyKey, parse_key
from millstream_telemetry import ServerSpan

T = TypeVar("T")

SPAN_KEY = "millstream_span"
"""Where the middleware leaves the span of a request, in the state of its scope."""


class ApiRequest(Request[Any, Any, Any]):
    """A request to the API."""

    @property
    def parts(self) -> Parts:
        """Return what the routes work with."""
        return cast("Parts", self.scope["litestar_app"].state["parts"])

    @property
    def tenant(self) -> Tenant:
        """Return on whose behalf the request acts."""
        return tenant_of(self.scope)

    @property
    def span(self) -> ServerSpan:
        """Return the span of the request."""
        return cast("ServerSpan", self.scope["state"][SPAN_KEY])

    @property
    def preferences(self) -> Preferences:
        """Return what the client would like. Raises: IngestError (400)."""
        values = self.headers.getall("prefer", [])
        return parse_preferences(values) if values else Preferences()

    @property
    def idempotency_key(self) -> IdempotencyKey | None:
        """Return the client's key for this request, if it gave one. Raises: IngestError (400)."""
        values = self.headers.getall(HEADER, [])
        return parse_key(self.tenant, values, f"{self.method} {self.scope['path']}") if values else None

    def read_query(self, known: Sequence[str] = ()) -> Query:
        """Return the query, in which only these parameters may stand. Raises: IngestError (400)."""
        return parse_query(self.scope["query_string"], known)

    @property
    def body_type(self) -> str | None:
        """Return what the body says it is; of several headers, all of them, which is no media type."""
        return ", ".join(self.headers.getall("content-type", [])) or None

    async def read_body(self, max_bytes: int) -> bytes:
        """Return the body. Raises: IngestError (400, 408, 413, 415, 503)."""
        return await self.parts.body_reader.read(self.headers, self.receive, max_bytes)

    async def unless_gone(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Return what `wait` returns; stop it when the client goes away. The body has to be read before.

        Raises: StoreError, and IngestError when nobody is there to be answered.
        """
        return await unless_gone(self.receive, wait)
