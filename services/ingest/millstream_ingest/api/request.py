"""A request as the routes see it: its principal, its body within bounds, its query, its span. All is read lazily."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from millstream_contracts import Tenant, limits
from millstream_history import History
from millstream_ingest.access.principal import Principal
from millstream_ingest.access.withholding import check_query
from millstream_ingest.assembly import Services
from millstream_ingest.http.client_watch import Receive, unless_gone, while_there
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import Headers, header_text
from millstream_ingest.http.negotiation import request_encoding
from millstream_ingest.http.preferences import NO_PREFERENCES, Preferences, parse_preferences
from millstream_ingest.http.problems import FORBIDDEN, NO_HISTORY
from millstream_ingest.http.query import Query, parse_query
from millstream_ingest.submission.bodies import decode_as
from millstream_ingest.submission.idempotency import HEADER, IdempotencyKey, parse_key
from millstream_telemetry import ServerSpan

T = TypeVar("T")

_KEY_HEADER = HEADER.lower().encode()


class ApiRequest:
    """A request to one of the routes."""

    __slots__ = ("_receive", "headers", "is_own", "keeps_body", "kept_body", "principal", "scope", "services", "span")

    def __init__(
        self, services: Services, scope: Any, receive: Receive, headers: Headers, principal: Principal, span: ServerSpan
    ) -> None:
        self.services = services
        """What the routes work with."""
        self.scope = scope
        """The request by ASGI."""
        self.headers = headers
        self.principal = principal
        """Who asks."""
        self.span = span
        self.keeps_body = False
        """Whether the body is kept once it is read, for the audit trail."""
        self.kept_body = b""
        self.is_own = False
        """Whether it is about a job that its principal has submitted, where that was looked at."""
        self._receive = receive

    @property
    def tenant(self) -> Tenant:
        """Return on whose behalf the request acts."""
        return self.principal.tenant

    def require_operator(self) -> None:
        """Refuse what is about the installation to principals of other tenants. Raises: IngestError (403)."""
        if not self.principal.is_operator:
            raise IngestError(FORBIDDEN, "what is about the installation is for keys of the operator's own tenant")

    @property
    def address(self) -> str:
        """Return the address of the client, as proxies that are trusted tell it."""
        return self.services.addresses.of(self.scope, self.headers)

    @property
    def path(self) -> str:
        """Return the path that was asked for."""
        path: str = self.scope["path"]
        return path

    @property
    def history(self) -> History:
        """Return the history. Raises: IngestError (422), where there is none."""
        if self.services.history is None:
            raise IngestError(NO_HISTORY)
        return self.services.history

    @property
    def preferences(self) -> Preferences:
        """Return what the client prefers. Raises: IngestError (400)."""
        prefer = self.headers.get(b"prefer")
        return NO_PREFERENCES if prefer is None else parse_preferences(prefer.decode("latin-1"))

    @property
    def idempotency_key(self) -> IdempotencyKey | None:
        """Return the client's key for this request, if it gave one. Raises: IngestError (400)."""
        if _KEY_HEADER not in self.headers:
            return None
        values = [value.decode("latin-1") for name, value in self.scope["headers"] if name == _KEY_HEADER]
        return parse_key(self.tenant, values, f"{self.scope['method']} {self.path}")

    @property
    def body_type(self) -> str:
        """Return what the body says it is; of several headers, all of them, which is no media type."""
        return header_text(self.headers, b"content-type")

    def read_query(self, known: Sequence[str] = ()) -> Query:
        """Return the query, in which only these parameters may stand. Raises: IngestError (400, 403)."""
        query = parse_query(self.scope["query_string"], known)
        if query.values:
            check_query(self.principal, query)
        return query

    def read_body(self, max_bytes: int) -> Awaitable[bytes]:
        """Return the body. Raises: IngestError (400, 408, 413, 415, 503)."""
        reading = self.services.body_reader.read(self.headers, self._receive, max_bytes)
        return self._keep(reading) if self.keeps_body else reading

    async def read_as(self, model: type[T]) -> T:
        """Return the body as a value of this type. Raises: IngestError (400, 408, 413, 415, 503), SubmissionError."""
        # Before the body is read: one of another type is not waited for.
        encoding = request_encoding(self.body_type)
        return decode_as(model, await self.read_body(limits.MAX_BODY_BYTES), encoding)

    def of_target(self) -> "ApiRequest":
        """Return a request for the target of this one, without its query and its headers: they are about a change."""
        scope = {**self.scope, "query_string": b"", "headers": []}
        return ApiRequest(self.services, scope, self._receive, {}, self.principal, self.span)

    async def _keep(self, reading: Awaitable[bytes]) -> bytes:
        self.kept_body = await reading
        return self.kept_body

    async def count_jobs(self, jobs: int, counted: int = 1) -> None:
        """Count the jobs of the body for the limits of the principal, of which some were counted already.

        Raises: IngestError (413, 429), StoreError.
        """
        await self.services.door.take_jobs(self.principal, jobs, counted)

    async def while_there(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work; stop it when the client goes away. The body has to be read before."""
        await while_there(self._receive, work)

    async def unless_gone(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Return what `wait` returns; stop it when the client goes away. The body has to be read before.

        Raises: StoreError, and IngestError when the client is not there to be answered.
        """
        return await unless_gone(self._receive, wait)
