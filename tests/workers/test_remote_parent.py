"""What a handler process asks its worker is answered whole, once, and while its handler runs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from millstream import ApiError, NotBoundError
from millstream_contracts import Job, JobId, JobState, JobType
from millstream_workers.children.ask_desk import AskDesk
from millstream_workers.children.asks import (
    PART_BYTES,
    Found,
    GetAsk,
    Refused,
    StoreAsk,
    decode_answer,
    decode_ask,
    encode,
    parts_of,
)
from millstream_workers.children.refusals import error_of
from millstream_workers.children.remote_parent import RemoteParent

JOB = Job(id=JobId("a_1"), type=JobType("a"), state=JobState.QUEUED, created_at=datetime(2026, 1, 2, tzinfo=UTC))


@given(st.integers(0, 3 * PART_BYTES))
def test_a_message_of_any_size_is_whole_again(size: int) -> None:
    """The parts of a message are the message, none is larger than a part, and the last one says so."""
    body = bytes(size + 1)
    parts = list(parts_of(body))
    assert b"".join(part for part, _ in parts) == body
    assert all(len(part) <= PART_BYTES for part, _ in parts)
    assert [is_last for _, is_last in parts] == [False] * (len(parts) - 1) + [True]


class Channel:
    """Takes what a process asks."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes, bool]] = []

    def send(self, number: int, part: bytes, is_last: bool) -> None:
        """Note a part."""
        self.sent.append((number, part, is_last))


async def test_answers_reach_those_who_asked_in_whatever_order_and_parts() -> None:
    """Threads that ask at once are each given their own answer, however it is cut."""
    channel = Channel()
    parent = RemoteParent(channel.send, lambda: False)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(parent.run_blocking, lambda name=name: parent.get(name)) for name in ("a_1", "a_2")]
        await wait_until(lambda: len(channel.sent) == 2, "both have asked")
        for number, part, is_last in reversed(channel.sent):
            assert is_last
            ask = decode_ask(part)
            assert isinstance(ask, GetAsk)
            answer = encode(Found(msgspec.structs.replace(JOB, id=JobId(ask.job_id))))
            for at in range(len(answer)):
                parent.take(number, answer[at : at + 1], is_last=at == len(answer) - 1)
        assert [future.result(20).id for future in asked] == ["a_1", "a_2"]


async def test_a_handler_that_has_ended_is_not_left_waiting() -> None:
    """What a thread has asked when its handler ends is refused, and so is what it asks afterwards."""
    channel = Channel()
    parent = RemoteParent(channel.send, lambda: False)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(parent.run_blocking, lambda: parent.get("a_1"))
        await wait_until(lambda: channel.sent, "it has asked")
        parent.end()
        with pytest.raises(NotBoundError, match="has ended"):
            asked.result(20)
    with pytest.raises(NotBoundError, match="has ended"):
        await parent.get("a_1")
    assert len(channel.sent) == 1


class BrokenParent:
    """A parent with a defect."""

    async def get(self, job_id: str) -> Job:
        """Fail."""
        raise RuntimeError(f"no {job_id}")


async def test_a_defect_of_the_worker_is_an_answer_too() -> None:
    """A handler is told of a defect of its worker by an error, because it would wait for ever without an answer."""
    channel, broken = Channel(), BrokenParent()
    desk = AskDesk(broken, channel.send)  # type: ignore[arg-type]
    desk.take(7, encode(GetAsk("a_1")), is_last=True)
    await wait_until(lambda: channel.sent, "there is an answer")
    [(number, part, _)] = channel.sent
    answer = decode_answer(part)
    assert isinstance(answer, Refused)
    error = error_of(answer.refusal)
    assert (number, type(error), str(error)) == (7, ApiError, "the worker failed: RuntimeError: no a_1")


@pytest.mark.parametrize("body", [b"", b"junk", msgspec.msgpack.encode({"type": "other"})])
async def test_what_is_nothing_to_ask_is_refused(body: bytes) -> None:
    """Bytes that ask nothing are refused, because a handler may write into the channel."""
    parent: Any = None
    desk = AskDesk(parent, Channel().send)
    with pytest.raises(msgspec.DecodeError):
        desk.take(1, body, is_last=True)


def test_what_is_asked_arrives_as_it_was_sent() -> None:
    """Submissions arrive as the bytes that the handler's process has encoded."""
    ask = StoreAsk([b"\x00\xff"], "key", many=True, traceparent="00-a", tracestate="b=c")
    assert decode_ask(encode(ask)) == ask
