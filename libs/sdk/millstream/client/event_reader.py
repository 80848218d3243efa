"""Reads Server-Sent Events from the pieces of a response.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6.
"""

from msgspec import Struct

_MAX_EVENT_BYTES = 1 << 20


class SentEvent(Struct, frozen=True):
    """One event as it was sent."""

    name: str
    data: bytes


class EventReader:
    """Reads one response. What is not complete at its end is no event."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        """The id of the last event that was complete, or of a line without an event that says as much."""
        self.retry_ms: int | None = None
        """When to come back after the end of the response, if the server has said so."""
        self._rest = b""
        self._id = last_id
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[SentEvent]:
        """Return the events that a piece completes. Raises: ValueError, for a line beyond all measure."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise ValueError("an event is larger than 1 MiB")
        return [event for line in lines if (event := self._line(line.removesuffix(b"\r"))) is not None]

    def _line(self, line: bytes) -> SentEvent | None:
        if not line:
            return self._event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                self._data.append(value)
            case b"event":
                self._name = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
            case b"retry" if value.isdigit():
                self.retry_ms = int(value[:9])
        return None

    def _event(self) -> SentEvent | None:
        name, data = self._name or "message", b"\n".join(self._data)
        has_data = bool(self._data)
        self._name, self._data, self.last_id = "", [], self._id
        return SentEvent(name, data) if has_data else None
