"""Asks the worker of a running job where its handler is, and waits for the answer."""

import secrets
import time

import anyio

from millstream_contracts import JobId, JobStack, Queue
from millstream_streams import ActionCode, Broker

WAIT_S = 5.0
"""How long a worker has to answer: it hears the request within milliseconds, or not at all."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.25


class StackReader:
    """Reads the stacks of running jobs. Every method may raise StoreUnavailableError."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def read(self, queue: Queue, job_id: JobId) -> JobStack | ActionCode:
        """Return where the handler of a job is.

        Returns: else UNKNOWN_JOB; WRONG_STATE, when it does not run; REQUESTED, when its worker is late.
        """
        number = secrets.token_hex(8)
        code = await self._broker.store.ask_stack(queue, job_id, number)
        gives_up_at, pause_s = time.monotonic() + WAIT_S, _FIRST_PAUSE_S
        while code is ActionCode.REQUESTED and time.monotonic() < gives_up_at:
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            if (stack := await self._broker.stack_answers.answer(queue, number)) is not None:
                return stack
        return code
