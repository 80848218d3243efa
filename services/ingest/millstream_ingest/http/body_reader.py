"""Reads request bodies within bounds of size, of time between two parts, and of all bodies together.

A body that exceeds a bound is refused before work is done for it, and no client can fill the memory by never ending.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from millstream_contracts import FieldError
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import Headers
from millstream_ingest.http.problems import BAD_REQUEST, OVERLOADED, REQUEST_TIMEOUT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE
from millstream_ingest.http.read_timeouts import ReadTimeouts
from millstream_submission import MAX_QUOTED_CHARS

STALLED_AFTER_S = 10.0
"""Longest time between two parts of a body."""

BODIES_IN_HAND = 4
"""The number of bodies of the largest kind that may be read at once; any number of smaller ones that take no more."""


class BodyReader:
    """Reads the bodies of one process."""

    def __init__(self, max_body_bytes: int) -> None:
        self._room_bytes = BODIES_IN_HAND * max_body_bytes
        self._timeouts = ReadTimeouts(STALLED_AFTER_S)

    async def read(self, headers: Headers, receive: Callable[[], Awaitable[Any]], max_bytes: int) -> bytes:
        """Return a body. Raises: IngestError (400, 408, 413, 415, 503)."""
        _check_coding(headers)
        announced = _check_announced(headers, max_bytes)
        chunks: list[bytes] = []
        size, held, more = 0, 0, True
        watched = self._timeouts.begin()
        try:
            # What is too large is read on for a while and thrown away: a client that still sends when the
            # connection is closed sees a reset in place of the answer.
            while more and size <= 2 * max_bytes:
                message: Mapping[str, Any] = await receive()
                if message["type"] == "http.disconnect":
                    raise gone()
                chunk: bytes = message.get("body", b"")
                if announced is not None and not size and len(chunk) == announced <= max_bytes:
                    held = self._take_room(announced)
                    return chunk  # as most do, in one piece
                size += len(chunk)
                if size <= max_bytes:
                    held += self._take_room(len(chunk))
                    chunks.append(chunk)
                # granian says that all has come by a message of its own: to wait for that took a tenth of a submission.
                more = size != announced and message.get("more_body", False)
                if more:
                    self._timeouts.renew(watched)
        except asyncio.CancelledError:
            if not self._timeouts.is_stalled(watched):
                raise
            raise IngestError(REQUEST_TIMEOUT, f"nothing of the body came for {STALLED_AFTER_S:g} s") from None
        finally:
            self._timeouts.end(watched)
            self._room_bytes += held
        if size > max_bytes:
            raise _too_large(max_bytes)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _take_room(self, size_bytes: int) -> int:
        if size_bytes > self._room_bytes:
            raise IngestError(OVERLOADED, "too many bytes of other requests are on their way")
        self._room_bytes -= size_bytes
        return size_bytes


def gone() -> IngestError:
    """Return the error for a client that has disconnected and cannot be answered."""
    return IngestError(BAD_REQUEST, "the client went away")


def _check_coding(headers: Headers) -> None:
    coding = headers.get(b"content-encoding")
    if coding is not None and (name := coding.decode("latin-1").strip().lower()) not in {"", "identity"}:
        # A few kilobytes of gzip can be 100 MB.
        detail = f"`Content-Encoding: {name[:MAX_QUOTED_CHARS]}` is not supported: send the body as it is"
        raise IngestError(UNSUPPORTED_MEDIA_TYPE, detail)


def _check_announced(headers: Headers, max_bytes: int) -> int | None:
    """Refuse a body whose announced length is too large at once, unless it is small enough to be read to its end.

    Returns: how long the body is; None when that is not known before its end.
    """
    announced = headers.get(b"content-length", b"")
    # Of several, or of digits that are not ASCII, nothing is known.
    if not announced.isdigit() or b"transfer-encoding" in headers:
        return None
    size = int(announced)
    if size > 2 * max_bytes or (size > max_bytes and b"expect" in headers):
        raise _too_large(max_bytes)
    return size


def _too_large(max_bytes: int) -> IngestError:
    detail = f"the body has more than {max_bytes} bytes"
    return IngestError(TOO_LARGE, detail, [FieldError("", detail)])
