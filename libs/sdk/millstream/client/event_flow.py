"""Follows events without I/O: the requests of one stream of events, which is resumed until its reader has enough."""

from collections.abc import Iterator
from enum import Enum

import msgspec
from msgspec.structs import replace

from millstream.client.event_reader import EventReader, SentEvent
from millstream.client.flow import Reply, Request
from millstream.client.response_reader import explain
from millstream.client.retrier import Call, Retrier, may_repeat
from millstream_contracts import UNDECODABLE, LiveEvent

MEDIA_TYPE = "text/event-stream"
SILENCE_S = 45.0
"""The longest silence of a stream: the server says something each fifteen seconds."""


class Notice(Enum):
    """What a stream says besides events."""

    CONNECTED = 1
    """It begins, or goes on after an interruption; every event from now on will be seen."""
    GAP = 2
    """Events are missing."""


Signal = LiveEvent | Notice


class EventFlow:
    """One stream of events. A transport sends its requests, and gives it what is received."""

    def __init__(self, retrier: Retrier, call: Call[bytes]) -> None:
        self._retrier = retrier
        self._call = call
        self._reader = EventReader()
        self._failures = 0
        self._give_up_at = 0.0
        self._pause_s = 0.0
        self._url = ""

    def request(self) -> Request:
        """Return the next request: for all events from now on, or from the last one that was received on."""
        headers = {"accept": MEDIA_TYPE}
        if self._reader.last_id:
            headers["last-event-id"] = self._reader.last_id
        request = self._retrier.request(replace(self._call, headers=headers), delay_s=self._pause_s)
        self._url = request.url
        return replace(request, response_within_s=SILENCE_S)

    def is_stream(self, status: int, content_type: str) -> bool:
        """Return whether a response is the stream; `failed` has to be called with any other one."""
        if status != 200 or content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
            return False
        self._failures = 0
        self._reader = EventReader(self._reader.last_id)
        return True

    def heard(self, piece: bytes) -> Iterator[Signal]:
        """Yield what a piece of the stream says."""
        try:
            sent = self._reader.feed(piece)
        except ValueError:
            # The next connection resumes behind what was read.
            yield Notice.GAP
            return
        for event in sent:
            if (signal := _signal(event)) is not None:
                yield signal

    def ended(self) -> None:
        """Note that the server has ended the stream, as it does when it is restarted."""
        self._pause_s = (self._reader.retry_ms or 0) / 1000

    def failed(self, reply: Reply) -> None:
        """Note that there is no stream, or no more. Raises: ApiError, when another try would be late or useless."""
        clock = self._retrier.clock
        self._failures += 1
        if self._failures == 1:
            self._give_up_at = clock() + self._retrier.retry_for_s
        error = explain(reply, self._url)
        self._pause_s = self._retrier.pause_s(error, self._failures)
        if not may_repeat(self._call, reply) or clock() + self._pause_s >= self._give_up_at:
            raise error


def _signal(sent: SentEvent) -> Signal | None:
    match sent.name:
        case "job":
            try:
                return msgspec.json.decode(sent.data, type=LiveEvent)
            except UNDECODABLE:
                return Notice.GAP
        case "gap":
            return Notice.GAP
    return None
