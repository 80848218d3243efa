"""The parent of children whose handler runs in a process of its own: it asks the worker, over their channel."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from millstream import NotBoundError
from millstream.jobs.blocking import answer_of
from millstream.jobs.parent import Parent
from millstream_contracts import CallAnswer, Job, JobId, StepAnswer, StoredStep
from millstream_telemetry import current_trace_context
from millstream_workers.children.asks import (
    Answer,
    Ask,
    AwaitStepAsk,
    CallAsk,
    Called,
    CancelAsk,
    Found,
    FoundSteps,
    GetAsk,
    ReadStepsAsk,
    Refused,
    SaveStepAsk,
    Stepped,
    StoreAsk,
    Stored,
    WaitAsk,
    decode_answer,
    encode,
    parts_of,
)
from millstream_workers.children.refusals import error_of


class RemoteParent(Parent):
    """The job that runs in this process, as a parent. Any thread may call it, and any event loop of asyncio."""

    __slots__ = ("_asked", "_has_ended", "_is_fork", "_numbers", "_received", "_send")

    def __init__(self, send: Callable[[int, bytes, bool], None], is_fork: Callable[[], bool]) -> None:
        """`send` sends a part of what is asked: its number, the part, and whether it is the last."""
        self._send = send
        self._is_fork = is_fork
        self._numbers = itertools.count(1)
        self._asked: dict[int, Future[Answer]] = {}
        self._received: dict[int, bytearray] = {}
        self._has_ended = False

    async def store(
        self, contents: Sequence[bytes], idempotency_key: str | None, *, many: bool, as_members: bool = False
    ) -> list[JobId]:
        """Store submissions, all or none. Raises: InvalidChildError, ConflictError, UnavailableError."""
        trace = current_trace_context()
        ask = StoreAsk(list(contents), idempotency_key, many, trace.traceparent, trace.tracestate, as_members)
        answer = await self._ask(ask)
        assert isinstance(answer, Stored)
        return [JobId(job_id) for job_id in answer.ids]

    async def get(self, job_id: str, /) -> Job:
        """Return a job. Raises: JobNotFoundError, UnavailableError."""
        return await self._find(GetAsk(job_id))

    async def cancel(self, job_id: str, /) -> Job:
        """Cancel a job. Raises: ConflictError, JobNotFoundError, UnavailableError."""
        return await self._find(CancelAsk(job_id))

    async def settled(self, job_id: str, timeout_s: float) -> Job:
        """Return a job once it has settled, or as it is after `timeout_s`. Raises: as `ChildReader.settled`."""
        return await self._find(WaitAsk(job_id, timeout_s))

    async def read_steps(self) -> dict[str, StoredStep]:
        """Return what is stored of its steps, by name. Raises: UnavailableError."""
        answer = await self._ask(ReadStepsAsk())
        assert isinstance(answer, FoundSteps)
        return answer.steps

    async def save_step(self, name: str, version: str, kind: str, content: bytes) -> StepAnswer:
        """Store what a step has given. Raises: UnavailableError."""
        return await self._step(SaveStepAsk(name, version, kind, content))

    async def await_step(self, name: str, signal: str, ends: str) -> StepAnswer:
        """Return whether a wait is over. Raises: UnavailableError."""
        return await self._step(AwaitStepAsk(name, signal, ends))

    async def call_jobs(self, name: str, contents: Sequence[bytes], known: Sequence[JobId]) -> CallAnswer:
        """Make the jobs that a step calls, or look at them. Raises: InvalidChildError, UnavailableError."""
        trace = current_trace_context()
        answer = await self._ask(CallAsk(name, list(contents), list(known), trace.traceparent, trace.tracestate))
        assert isinstance(answer, Called)
        return answer.answer

    def take(self, number: int, part: bytes, *, is_last: bool) -> None:
        """Take a part of an answer, in whatever thread reads them."""
        received = self._received.setdefault(number, bytearray())
        received += part
        if is_last:
            answer = decode_answer(self._received.pop(number))
            future = self._asked.pop(number, None)
            if future is not None:
                with suppress(InvalidStateError):  # the handler waits for it no more
                    future.set_result(answer)

    def end(self) -> None:
        """Refuse what is still asked, and from now on everything: the handler has ended."""
        self._has_ended = True
        for number in list(self._asked):
            if future := self._asked.pop(number, None):
                with suppress(InvalidStateError):
                    future.set_exception(_ended())

    async def _find(self, ask: Ask) -> Job:
        answer = await self._ask(ask)
        assert isinstance(answer, Found)
        return answer.job

    async def _step(self, ask: Ask) -> StepAnswer:
        answer = await self._ask(ask)
        assert isinstance(answer, Stepped)
        return answer.answer

    async def _ask(self, ask: Ask) -> Answer:
        if self._is_fork():
            raise NotBoundError("a process that a handler has forked cannot submit jobs: the handler itself can")
        number, future = next(self._numbers), Future[Answer]()
        self._asked[number] = future
        if self._has_ended:
            raise _ended()
        for part, is_last in parts_of(encode(ask)):
            self._send(number, part, is_last)
        answer = await answer_of(future)
        if isinstance(answer, Refused):
            raise error_of(answer.refusal)
        return answer


def _ended() -> NotBoundError:
    return NotBoundError("the handler of this job has ended, and its process submits nothing more for it")
