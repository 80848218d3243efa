"""Answers what the handler of one job asks from its own process, through the parent that the job has in this worker."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

import structlog

from millstream import ApiError, WaitTimeoutError
from millstream_telemetry import TraceContext
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
    decode_ask,
    encode,
    parts_of,
)
from millstream_workers.children.refusals import refusal_of
from millstream_workers.children.running_parent import RunningParent


class AskDesk:
    """Takes what is asked, each in a task of its own: a wait for one job holds up nothing else. Lives on the loop."""

    def __init__(self, parent: RunningParent, reply: Callable[[int, bytes, bool], None]) -> None:
        """`reply` is called with the number of what was asked, a part of the answer, and whether it is the last."""
        self._parent = parent
        self._reply = reply
        self._received: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waits: set[asyncio.Task[None]] = set()

    def take(self, number: int, part: bytes, *, is_last: bool) -> None:
        """Take a part of what is asked. Raises: msgspec.DecodeError, when the whole is nothing that can be asked."""
        self._received[number] += part
        if not is_last:
            return
        ask: Ask = decode_ask(self._received.pop(number))
        task = asyncio.get_running_loop().create_task(self._answer(number, ask))
        tasks = self._waits if isinstance(ask, WaitAsk) else self._tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def close(self) -> None:
        """End the waits, because the handler has ended. What is being stored is stored, as in a thread."""
        for task in self._waits:
            task.cancel()

    async def _answer(self, number: int, ask: Ask) -> None:
        try:
            answer = await self._answer_to(ask)
        except (ApiError, WaitTimeoutError) as error:
            answer = Refused(refusal_of(error))
        except Exception as error:  # noqa: BLE001 - a defect of this worker must not leave the handler waiting for ever
            structlog.get_logger().error("child jobs not handled", exc_info=True)
            answer = Refused(refusal_of(error))
        for part, is_last in parts_of(encode(answer)):
            self._reply(number, part, is_last)

    async def _answer_to(self, ask: Ask) -> Answer:
        match ask:
            case StoreAsk(contents, key, many, traceparent, tracestate, as_members):
                trace = TraceContext(traceparent, tracestate)
                ids = await self._parent.store_in(trace, contents, key, many=many, as_members=as_members)
                return Stored(list(ids))
            case GetAsk(job_id):
                return Found(await self._parent.get(job_id))
            case CancelAsk(job_id):
                return Found(await self._parent.cancel(job_id))
            case WaitAsk(job_id, timeout_s):
                return Found(await self._parent.settled(job_id, timeout_s))
            case _:
                return await self._step_answer(ask)

    async def _step_answer(self, ask: ReadStepsAsk | SaveStepAsk | AwaitStepAsk | CallAsk) -> Answer:
        match ask:
            case ReadStepsAsk():
                return FoundSteps(await self._parent.read_steps())
            case SaveStepAsk(name, version, kind, content):
                return Stepped(await self._parent.save_step(name, version, kind, content))
            case AwaitStepAsk(name, signal, ends):
                return Stepped(await self._parent.await_step(name, signal, ends))
            case CallAsk(name, contents, known, traceparent, tracestate):
                trace = TraceContext(traceparent, tracestate)
                return Called(await self._parent.call_in(trace, name, contents, known))
