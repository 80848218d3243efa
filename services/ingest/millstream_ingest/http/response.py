"""Responses: a value in the encoding that the client accepts, or a problem document; and how both are sent."""

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from millstream_contracts import SECRETS_HEADER, Problem
from millstream_ingest.http.headers import Headers, header_text
from millstream_ingest.http.negotiation import Encoding, response_encoding, sent_encoding
from millstream_ingest.http.problems import PROBLEM_MEDIA_TYPE
from millstream_ingest.http.showing import showable

Send = Callable[[Any], Awaitable[None]]
Fields = list[tuple[bytes, bytes]]

NO_HEADERS: Mapping[str, str] = {}

# What an encoder may raise of what a handler, or something else, has stored.
_UNENCODABLE = (TypeError, ValueError, NotImplementedError, OverflowError, RecursionError, msgspec.MsgspecError)
_NO_CONTENT = frozenset({204, 304})
_COME_BACK = frozenset({429, 503})

# Made once: the server takes header lists as they are.
_CONTENT_TYPES = {encoding: (b"content-type", encoding.value.encode()) for encoding in Encoding}
_VARY = (b"vary", f"Accept, {SECRETS_HEADER}".encode())
# A browser must not take an answer with a payload for a page.
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")


Write = Callable[[bytes], Awaitable[None]]


class Stream(Protocol):
    """A body that is written while it is made."""

    async def write_to(self, write: Write) -> None:
        """Write the body piece by piece, and return at its end."""
        ...

    def close(self) -> None:
        """Give back what the body needs, whether it was written or not."""
        ...


class Response(Struct):
    """The response of a route: a value, which is encoded once it is known what the client accepts."""

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = NO_HEADERS
    media_type: str = ""
    """The media type of content that is sent as the bytes that it is."""
    stream: Stream | None = None
    """What writes the body, in place of content."""


class StreamedResponse(Struct):
    """A response whose body is written while it is made, and which has no length."""

    fields: Fields
    stream: Stream
    status: int = 200

    async def send(self, send: Send, *, is_head: bool) -> None:
        """Send the response; to HEAD without the body."""
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": self.fields})
            if not is_head:
                await self.stream.write_to(
                    lambda piece: send({"type": "http.response.body", "body": piece, "more_body": True})
                )
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.stream.close()


class EncodedResponse(Struct):
    """A response as it is sent."""

    status: int
    fields: Fields
    body: bytes

    async def send(self, send: Send, *, is_head: bool) -> None:
        """Send the response; to HEAD without the body, and with the length that the body would have."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.fields})
        await send({"type": "http.response.body", "body": b"" if is_head else self.body})


def encode_response(response: Response, request: Headers) -> EncodedResponse | StreamedResponse:
    """Return a response in the encoding that the headers of its request ask for."""
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.stream is not None:
        fields += (b"content-type", response.media_type.encode()), _NO_SNIFFING
        return StreamedResponse(fields, response.stream)
    if response.status in _NO_CONTENT:
        return EncodedResponse(response.status, fields, b"")
    if response.media_type:
        fields.append((b"content-type", response.media_type.encode()))
        return _whole(response.status, fields, response.content)
    accept, content_type = header_text(request, b"accept"), header_text(request, b"content-type")
    encoding = response_encoding(accept, sent_encoding(content_type))
    fields += _VARY, _CONTENT_TYPES[encoding]
    return _whole(response.status, fields, encode(response.content, encoding))


def encode_problem(
    problem: Problem, headers: Mapping[str, str] = NO_HEADERS, retry_after_s: int | None = None
) -> EncodedResponse:
    """Return a problem document. It is JSON whatever the client accepts, because a person has to read it."""
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    fields.append((b"content-type", PROBLEM_MEDIA_TYPE.encode()))
    if problem.status in _COME_BACK:
        # Drawn at random, so that all that were turned away do not come back together.
        fields.append((b"retry-after", b"%d" % (retry_after_s or random.randint(1, 3))))
    return _whole(problem.status, fields, encode(problem, Encoding.JSON))


def _whole(status: int, fields: Fields, body: bytes) -> EncodedResponse:
    fields += (b"content-length", b"%d" % len(body)), _NO_SNIFFING
    return EncodedResponse(status, fields, body)


def _strange(value: Any) -> Any:
    """Return the bytes of a MessagePack extension, which a handler's result may hold and JSON cannot."""
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
    if encoding is Encoding.JSON:
        return _encode_json(value)
    # MessagePack has a type for times, which clients in few languages read as one.
    return _encode_msgpack(msgspec.to_builtins(value, builtin_types=(bytes,), enc_hook=_strange))
