"""Stores the jobs of callbacks of batches that have fired, as a dispatcher does."""

import msgspec
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, UNDECODABLE, Submission
from millstream_submission import SubmissionError, SystemSubmitter, held_by
from millstream_telemetry import NO_TRACE
from millstream_testing.memory.kit_batches import Callback, KitBatches
from millstream_testing.memory.memory_broker import running_job

MAX_REASON = 200

_decode = msgspec.msgpack.Decoder(Submission).decode
_encode = msgspec.msgpack.encode


class CallbackStarter:
    """Does what is to be done for batches."""

    def __init__(self, batches: KitBatches, submitter: SystemSubmitter) -> None:
        self._batches = batches
        self._submitter = submitter

    async def run(self) -> None:
        """Store the jobs of callbacks that have fired."""
        # The handler of a member is not the parent of a callback.
        token = running_job.set(None)
        try:
            while self._batches.ready:
                await self._start(self._batches.ready.pop(0))
        finally:
            running_job.reset(token)

    async def _start(self, callback: Callback) -> None:
        assert callback.fired is not None
        try:
            submission = _decode(callback.content)
            tagged = replace(submission, tags={**(submission.tags or {}), **callback.fired.tags})
            built = await self._submitter.build(
                DEFAULT_TENANT, _encode(tagged), None, caller=NO_TRACE, job_id=callback.job
            )
        except (SubmissionError, *UNDECODABLE) as error:
            callback.reason = " ".join(str(error).split())[:MAX_REASON]
            return
        (answer,) = await self._submitter.store([built])
        callback.is_submitted = not answer.holder
        callback.reason = held_by(answer.holder) if answer.holder else None
