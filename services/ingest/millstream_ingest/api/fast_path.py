"""The door before the framework: it answers `POST /v1/jobs` itself and passes everything else on.

Routing, middleware and response objects of the framework cost more than the whole of a submission. The route stands
in the application all the same, for the document and for its tests; both carry requests to `submitting.submit`.
"""

import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from millstream_contracts import Tenant
from millstream_ingest.api.principal import tenant_of
from millstream_ingest.api.submitting import Submitted, submit
from millstream_ingest.assembly import Parts
from millstream_ingest.http.client_watch import unless_gone
from millstream_ingest.http.negotiation import Encoding, answer_encoding
from millstream_ingest.http.preferences import NO_PREFERENCES, Preferences, parse_preferences
from millstream_ingest.http.problems import PROBLEM_MEDIA_TYPE
from millstream_ingest.http.query import Query, parse_query
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.http.response import MAX_INSTANCE_CHARS, encode, encode_problem
from millstream_ingest.submission.idempotency import HEADER, IdempotencyKey, parse_key
from millstream_telemetry import ServerSpan

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Asgi = Callable[[Any, Receive, Send], Awaitable[None]]

PATH = "/v1/jobs"
_KEY_HEADER = HEADER.lower()
# Hardly a submission has any of these; those that have none are spared a look for each of them.
_SELDOM = frozenset(
    {_KEY_HEADER.encode(), b"prefer", b"content-encoding", b"transfer-encoding", b"expect", b"traceparent"}
)

RawHeaders = list[tuple[bytes, bytes]]

# Made once: the server takes header lists as they are.
_MEDIA_TYPE_HEADERS = {encoding: (b"content-type", encoding.value.encode()) for encoding in Encoding}
_PROBLEM_HEADER = (b"content-type", PROBLEM_MEDIA_TYPE.encode())
_VARY_HEADER = (b"vary", b"Accept")

_UNAVAILABLE = 503


class SubmissionDoor:
    """An ASGI application around another one."""

    def __init__(self, app: Asgi, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a submission; pass on what is none."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        headers = DirectHeaders(scope["headers"])
        # `tracestate` says nothing without the other.
        caller = ("", "") if headers.is_plain else (headers.get(b"traceparent"), headers.get(b"tracestate"))
        with self._parts.tracer.server("POST", PATH, *caller) as span:
            try:
                told = await submit(DirectRequest(self._parts, scope, headers, receive, span), self._parts)
                span.answered(told.status)
                await _answer(told, headers.get(b"accept"), send)
            except Exception as error:  # noqa: BLE001 - as in the framework: whatever it is has an answer
                await self._refuse(error, span, send)

    async def _refuse(self, error: Exception, span: ServerSpan, send: Send) -> None:
        refusal = refusal_of(error)
        self._parts.refusals.note(error, refusal, method="POST", route=PATH)
        problem = refusal.problem(instance=PATH[:MAX_INSTANCE_CHARS], trace_id=span.trace_id)
        headers: RawHeaders = [_PROBLEM_HEADER]
        if problem.status == _UNAVAILABLE:
            # Drawn at random, so that all that were turned away do not come back together.
            headers.append((b"retry-after", b"%d" % random.randint(1, 3)))
        span.answered(problem.status)
        await _send(send, problem.status, encode_problem(problem), headers)


class DirectHeaders:
    """The headers of a request, looked up by name in small letters."""

    __slots__ = ("_last", "_raw", "is_plain")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._last = dict(raw)
        self.is_plain = _SELDOM.isdisjoint(self._last) and len(self._last) == len(raw)
        """Whether each header stands once and none is one of those that few submissions have."""

    @property
    def plain_length(self) -> int | None:
        """How long the body is, where the headers are plain and say so."""
        length = self._last.get(b"content-length", b"")
        return int(length) if self.is_plain and length.isdigit() else None

    def getall(self, key: str, default: Any, /) -> Sequence[str]:
        """Return all values of a header."""
        name = key.encode()
        # A request has twenty headers, of which a few are looked at: only those are decoded.
        last = self._last.get(name)
        if last is None:
            return default  # type: ignore[no-any-return]
        if len(self._last) == len(self._raw):
            return (last.decode("latin-1"),)
        return [value.decode("latin-1") for known, value in self._raw if known == name]

    def get(self, name: bytes) -> str:
        """Return the values of a header in one line; empty without it."""
        if self.is_plain or len(self._last) == len(self._raw):
            return self._last.get(name, b"").decode("latin-1")
        return ", ".join(self.getall(name.decode(), ()))


class DirectRequest:
    """A submission as it came through the door."""

    __slots__ = ("_headers", "_parts", "_receive", "_scope", "span")

    def __init__(self, parts: Parts, scope: Any, headers: DirectHeaders, receive: Receive, span: ServerSpan) -> None:
        self._parts = parts
        self._scope = scope
        self._headers = headers
        self._receive = receive
        self.span = span

    @property
    def tenant(self) -> Tenant:
        """On whose behalf it acts."""
        return tenant_of(self._scope)

    @property
    def body_type(self) -> str | None:
        """What the body says it is."""
        return self._headers.get(b"content-type") or None

    @property
    def preferences(self) -> Preferences:
        """What the client would like. Raises: IngestError (400)."""
        if self._headers.is_plain:
            return NO_PREFERENCES
        values = self._headers.getall("prefer", ())
        return parse_preferences(values) if values else NO_PREFERENCES

    @property
    def idempotency_key(self) -> IdempotencyKey | None:
        """The client's key, if it gave one. Raises: IngestError (400)."""
        if self._headers.is_plain:
            return None
        values = self._headers.getall(_KEY_HEADER, ())
        return parse_key(self.tenant, values, f"POST {PATH}") if values else None

    def read_query(self) -> Query:
        """Refuse a query. Raises: IngestError (400)."""
        return parse_query(self._scope["query_string"], ())

    def read_body(self, max_bytes: int) -> Coroutine[Any, Any, bytes]:
        """Return the body. Raises: IngestError (400, 408, 413, 415, 503)."""
        reader, announced = self._parts.body_reader, self._headers.plain_length
        if announced is not None and announced <= max_bytes:
            return reader.read_announced(announced, self._receive, max_bytes)
        return reader.read(self._headers, self._receive, max_bytes)

    async def unless_gone(self, wait: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `wait` returns; stop it when the client goes away. Raises: StoreError, IngestError."""
        return await unless_gone(self._receive, wait)


def _answer(told: Submitted, accept: str, send: Send) -> Coroutine[Any, Any, None]:
    encoding = answer_encoding(accept, told.encoding)
    headers: RawHeaders = [
        (b"location", told.location.encode()),
        (b"etag", told.etag.encode()),
        _VARY_HEADER,
        _MEDIA_TYPE_HEADERS[encoding],
    ]
    if told.notes:
        headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in told.notes.items()]
    return _send(send, told.status, encode(told.job, encoding), headers)


async def _send(send: Send, status: int, body: bytes, headers: RawHeaders) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
