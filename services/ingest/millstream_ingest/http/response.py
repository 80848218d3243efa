"""Answers: values in the encoding that the client takes, and refusals as problem documents."""

import random
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.response.base import ASGIResponse

from millstream_contracts import Problem
from millstream_ingest.http.errors import BodyError, IngestError
from millstream_ingest.http.negotiation import Encoding, answer_encoding, batch_format
from millstream_ingest.http.problems import PROBLEM_MEDIA_TYPE
from millstream_ingest.http.showing import showable

MAX_INSTANCE_CHARS = 256

# To read a member of an enumeration off its class takes 0.1 us, a ninth of encoding a job.
_JSON = Encoding.JSON
# What an encoder may raise of what a handler, or something else, has stored.
_UNENCODABLE = (TypeError, ValueError, NotImplementedError, OverflowError, RecursionError, msgspec.MsgspecError)
_NO_CONTENT = frozenset({204, 304})
_UNAVAILABLE = 503


def _strange(value: Any) -> Any:
    """Return what a handler's result may hold and JSON cannot: MessagePack extensions, as their bytes."""
    if isinstance(value, msgspec.msgpack.Ext):
        return bytes(value.data)
    raise NotImplementedError


_encode_json = msgspec.json.Encoder(enc_hook=_strange).encode
_encode_msgpack = msgspec.msgpack.Encoder().encode


def encode(value: Any, encoding: Encoding) -> bytes:
    """Return a value as bytes. Times are RFC 3339 text in both encodings."""
    try:
        return _encode(value, encoding)
    except _UNENCODABLE:
        return _encode(showable(value), encoding)


def _encode(value: Any, encoding: Encoding) -> bytes:
    if encoding is _JSON:
        return _encode_json(value)
    # MessagePack has a type for times, which clients in few languages read as one.
    return _encode_msgpack(msgspec.to_builtins(value, builtin_types=(bytes,), enc_hook=_strange))


def encode_problem(problem: Problem) -> bytes:
    """Return a problem document, which is JSON whatever the client takes."""
    return _encode_json(problem)


class Answer(Response[Any]):
    """A value, encoded only when it is known what the client takes."""

    def __init__(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(content, status_code=status, headers=headers)
        self._status = status

    def to_asgi_response(
        self,
        app: Any,  # noqa: ARG002 - deprecated by Litestar, and still passed
        request: Request[Any, Any, Any],
        **_: Any,
    ) -> ASGIResponse:
        """Encode the content for this request."""
        if self._status in _NO_CONTENT:
            return ASGIResponse(status_code=self._status, headers=self.headers)
        encoding = answer_encoding_of(request)
        self.headers["Vary"] = "Accept"
        return _respond(request, self._status, encode(self.content, encoding), encoding, self.headers)


class Refusal(Response[Any]):
    """A problem document. It is JSON whatever the client takes: a person has to read it."""

    def __init__(self, refusal: IngestError, trace_id: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(refusal, status_code=refusal.status, headers=headers)
        self._refusal = refusal
        self._trace_id = trace_id

    def to_asgi_response(
        self,
        app: Any,  # noqa: ARG002 - deprecated by Litestar, and still passed
        request: Request[Any, Any, Any],
        **_: Any,
    ) -> ASGIResponse:
        """Encode the problem for this request."""
        instance = request.scope["path"][:MAX_INSTANCE_CHARS]
        problem = self._refusal.problem(instance=instance, trace_id=self._trace_id)
        if problem.status == _UNAVAILABLE:
            # Drawn at random, so that all that were turned away do not come back together.
            self.headers.setdefault("Retry-After", str(random.randint(1, 3)))
        return _respond(request, problem.status, encode_problem(problem), PROBLEM_MEDIA_TYPE, self.headers)


def answer_encoding_of(request: Request[Any, Any, Any]) -> Encoding:
    """Return the encoding to answer a request in."""
    headers = request.headers
    return answer_encoding(",".join(headers.getall("accept", [])), sent_encoding(headers.get("content-type")))


def sent_encoding(content_type: str | None) -> Encoding:
    """Return the encoding of a request by its content type; JSON where that says nothing that we know."""
    if content_type is None:
        return Encoding.JSON
    try:
        return batch_format(content_type).encoding
    except BodyError:
        return Encoding.JSON


def _respond(
    request: Request[Any, Any, Any], status: int, body: bytes, media_type: str, headers: dict[str, str]
) -> ASGIResponse:
    is_head = request.scope["method"] == "HEAD"
    # Litestar leaves both out of an answer to HEAD, which should say what GET would have sent.
    headers |= {"Content-Type": media_type, "Content-Length": str(len(body))}
    return ASGIResponse(status_code=status, body=b"" if is_head else body, headers=headers, is_head_response=is_head)
