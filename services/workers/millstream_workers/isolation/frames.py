"""The messages between a worker and its handler processes: length-prefixed MessagePack over a socket.

Both ends are this package, in one release, on one machine; still only plain data crosses. Every message about a job has
the number of its order, so that a late one is never taken for that of the next job.
"""

import struct

import msgspec
from msgspec import Struct

from millstream_contracts import JobError, Progress
from millstream_workers.attempt.handler_request import HandlerRequest

HEADER = struct.Struct("!I")

MAX_FRAME_BYTES = 4 << 20
"""Far above any order, report or part: a greater length is no frame."""


class Order(Struct, frozen=True, tag="order"):
    """Run this job."""

    number: int
    job_type: str
    job_id: str
    attempt: int
    fence: int
    spec: bytes
    timeout_s: float | None
    traceparent: str = ""
    tracestate: str = ""
    trace_id: str = ""
    """For log lines, also of a trace that is not recorded."""


class StopOrder(Struct, frozen=True, tag="stop"):
    """Stop the job of this order."""

    number: int


class StackOrder(Struct, frozen=True, tag="where"):
    """Report where the handler of this order is."""

    number: int


class AnswerPart(Struct, frozen=True, tag="answer"):
    """A part of the answer to what the handler has asked."""

    number: int
    ask: int
    """The number of what was asked. So in the report below."""
    data: bytes
    is_last: bool


class ReadyReport(Struct, frozen=True, tag="ready"):
    """The apps are loaded (number 0), or the handler is about to be called."""

    number: int
    pid: int = 0


class ProgressReport(Struct, frozen=True, tag="progress"):
    """The handler reports its progress."""

    number: int
    progress: Progress


class AskPart(Struct, frozen=True, tag="ask"):
    """A part of what the handler asks: to store children, or about them."""

    number: int
    ask: int
    data: bytes
    is_last: bool


class ReturnReport(Struct, frozen=True, tag="returned"):
    """The handler returned."""

    number: int
    result: bytes
    changed: tuple[str, ...] = ()
    """What the job has changed in its process; a changed process is not used again. So in the reports below."""


class RequestReport(Struct, frozen=True, tag="request"):
    """The handler raised an outcome request; the report describes the exception too."""

    number: int
    request: HandlerRequest
    error: JobError
    frames: str = ""
    """The frames of users' code in which it was raised, without any message. So in the report below."""
    changed: tuple[str, ...] = ()


class FailureReport(Struct, frozen=True, tag="failed"):
    """The handler raised, or returned a result that cannot be stored; or the process cannot run handlers (number 0)."""

    number: int
    error: JobError
    invalid_result: bool = False
    frames: str = ""
    changed: tuple[str, ...] = ()


class StackReport(Struct, frozen=True, tag="stack"):
    """The stack of the handler when it was told to stop, or when it was asked for."""

    number: int
    stack: str
    is_asked: bool = False


class StoppedReport(Struct, frozen=True, tag="stopped"):
    """The handler was stopped, and has ended."""

    number: int
    changed: tuple[str, ...] = ()


EndReport = ReturnReport | RequestReport | FailureReport | StoppedReport
"""The report about the end of a job."""

AnyOrder = Order | StopOrder | StackOrder | AnswerPart

Report = ReadyReport | ProgressReport | StackReport | AskPart | EndReport

decode_order = msgspec.msgpack.Decoder(AnyOrder).decode
decode_report = msgspec.msgpack.Decoder(Report).decode


def encode_frame(message: AnyOrder | Report) -> bytes:
    """Return a message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(len(body)) + body


class FrameBuffer:
    """Assembles the bodies of frames from the bytes that arrive."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        self._received += data

    def take(self) -> bytes | None:
        """Return the next whole body; None when there is none yet. Raises: ValueError, for bytes that are no frame."""
        if len(self._received) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._received)
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        end = HEADER.size + length
        if len(self._received) < end:
            return None
        body = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        return body
