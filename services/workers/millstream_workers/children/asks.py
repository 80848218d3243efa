"""What a handler process asks its worker about children and steps, and the answers: plain data, cut into parts."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from millstream_contracts import CallAnswer, Job, JobId, StepAnswer, StoredStep
from millstream_workers.children.refusals import Refusal

PART_BYTES = 1 << 20
"""The size of a part. A batch may be larger than any frame."""


class StoreAsk(Struct, frozen=True, tag="store"):
    """Store these submissions, all or none."""

    contents: list[bytes]
    idempotency_key: str | None
    many: bool
    traceparent: str
    tracestate: str
    as_members: bool = False


class GetAsk(Struct, frozen=True, tag="get"):
    """Read a job."""

    job_id: str


class CancelAsk(Struct, frozen=True, tag="cancel"):
    """Cancel a job."""

    job_id: str


class WaitAsk(Struct, frozen=True, tag="wait"):
    """Answer once a job has settled, or the time is over."""

    job_id: str
    timeout_s: float


class ReadStepsAsk(Struct, frozen=True, tag="read_steps"):
    """Read what is stored of the steps of the job."""


class SaveStepAsk(Struct, frozen=True, tag="save_step"):
    """Store what a step has given."""

    name: str
    version: str
    kind: str
    content: bytes


class AwaitStepAsk(Struct, frozen=True, tag="await_step"):
    """Answer whether a wait is over."""

    name: str
    signal: str
    ends: str


class CallAsk(Struct, frozen=True, tag="call"):
    """Make the jobs that a step calls, or look at those that it has called."""

    name: str
    contents: list[bytes]
    known: list[JobId]
    traceparent: str
    tracestate: str


class Stored(Struct, frozen=True, tag="stored"):
    """The submissions are stored, under these ids."""

    ids: list[str]


class Found(Struct, frozen=True, tag="found"):
    """The job as it is now."""

    job: Job


class FoundSteps(Struct, frozen=True, tag="found_steps"):
    """What is stored of the steps."""

    steps: dict[str, StoredStep]


class Stepped(Struct, frozen=True, tag="stepped"):
    """What has become of the step."""

    answer: StepAnswer


class Called(Struct, frozen=True, tag="called"):
    """What has become of the call."""

    answer: CallAnswer


class Refused(Struct, frozen=True, tag="refused"):
    """What was asked for failed."""

    refusal: Refusal


Ask = StoreAsk | GetAsk | CancelAsk | WaitAsk | ReadStepsAsk | SaveStepAsk | AwaitStepAsk | CallAsk
Answer = Stored | Found | FoundSteps | Stepped | Called | Refused

encode = msgspec.msgpack.Encoder().encode
decode_ask = msgspec.msgpack.Decoder(Ask).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def parts_of(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Cut a message into parts. Yields: each, and whether it is the last."""
    for start in range(0, len(body), PART_BYTES):
        end = start + PART_BYTES
        yield body[start:end], end >= len(body)
