"""A request as the routes see it: its tenant, its body within bounds, its query, its span."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import anyio
from litestar import Request

from millstream_contracts import FieldError, Tenant
from millstream_ingest.errors import MAX_QUOTED_CHARS, IngestError
from millstream_ingest.idempotency import HEADER, IdempotencyKey, parse_key
from millstream_ingest.parts import Parts
from millstream_ingest.preferences import Preferences, parse_preferences
from millstream_ingest.problems import BAD_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE
from millstream_ingest.query import Query, parse_query
from millstream_ingest.tenancy import tenant_of
from millstream_streams import StoreError
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
        return tenant_of(self)

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

    async def read_body(self, max_bytes: int) -> bytes:
        """Return the body. Raises: IngestError (400, 413, 415)."""
        if (coding := self.headers.get("content-encoding", "identity").strip().lower()) not in {"", "identity"}:
            # A few kilobytes of gzip can be 100 MB.
            detail = f"`Content-Encoding: {coding[:MAX_QUOTED_CHARS]}` is not supported: send the body as it is"
            raise IngestError(UNSUPPORTED_MEDIA_TYPE, detail)
        chunks: list[bytes] = []
        size, more = 0, True
        # What is too large is read on for a while and thrown away: a client that still sends when the connection is
        # closed sees a reset in place of the answer.
        while more and size <= 2 * max_bytes:
            message = cast("dict[str, Any]", await self.receive())
            if message["type"] == "http.disconnect":
                raise _gone()
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= max_bytes:
                chunks.append(chunk)
            more = message.get("more_body", False)
        if size > max_bytes:
            detail = f"the body has more than {max_bytes} bytes"
            raise IngestError(TOO_LARGE, detail, [FieldError("", detail)])
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def unless_gone(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Return what `wait` returns; stop it when the client goes away. The body has to be read before.

        Raises: StoreError, and IngestError when nobody is there to be answered.
        """
        outcome: list[T] = []
        failure: StoreError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._await_gone, tasks.cancel_scope)
            try:
                outcome.append(await wait())
            except StoreError as error:
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if not outcome:
            raise _gone()
        return outcome[0]

    async def _await_gone(self, scope: anyio.CancelScope) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


def _gone() -> IngestError:
    return IngestError(BAD_REQUEST, "the client went away")
