"""Changes the payloads of dead jobs and redrives them, in one step for each job."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from millstream_contracts import UNDECODABLE, JobId, OperationRefusal, OperationSample, Queue
from millstream_dispatcher.operations.dead_job_actor import is_due
from millstream_dispatcher.operations.merge_patch import changes_of, merged
from millstream_dispatcher.operations.page_result import PageResult, result_of
from millstream_history import StoredOperation
from millstream_streams import ActionCode, Broker, NewSpec, StoredSpec, with_payload
from millstream_submission import MSGPACK, Intake, Redriver, SubmissionError
from millstream_telemetry import ServerSpan

MAX_REASON_CHARS = 300

_UNREADABLE = "its payload cannot be read"


class _Patched(Struct, frozen=True):
    """A job with its new spec."""

    spec: NewSpec
    sample: OperationSample


class PayloadPatcher:
    """Patches payloads. What comes of it keeps the rules of a submission of the same type."""

    def __init__(self, broker: Broker, intake: Intake, redriver: Redriver) -> None:
        self._redriver = redriver
        self._views = broker.views
        self._codec = broker.codec
        self._intake = intake

    async def act(self, operation: StoredOperation, queue: Queue, ids: Sequence[JobId], span: ServerSpan) -> PageResult:
        """Patch and redrive jobs. A repetition changes nothing: a job that has died again has died too late.

        Raises: StoreError.
        """
        stored = await self._views.stored_specs(queue, ids)
        patched: dict[JobId, _Patched] = {}
        refusals: list[OperationRefusal] = []
        for job_id in ids:
            found = stored.get(job_id)
            code = is_due(operation, found.job if found else None)
            if found is None or code is not ActionCode.DONE:
                refusals += result_of([job_id], [code]).refusals
                continue
            try:
                patched[job_id] = await self._patched(operation, queue, found)
            except SubmissionError as error:
                refusals.append(OperationRefusal(job_id, error.detail[:MAX_REASON_CHARS]))
            except UNDECODABLE:
                refusals.append(OperationRefusal(job_id, _UNREADABLE))
        refused = PageResult(refusals=refusals)
        return refused.and_more(await self._redrive(operation, queue, patched, span)) if patched else refused

    async def _redrive(
        self, operation: StoredOperation, queue: Queue, patched: dict[JobId, _Patched], span: ServerSpan
    ) -> PageResult:
        ids = list(patched)
        if operation.asked.dry_run:
            return PageResult(ids, samples=[one.sample for one in patched.values()])
        specs = {job_id: one.spec for job_id, one in patched.items()}
        codes = await self._redriver.redrive(
            queue,
            ids,
            request=span,
            operation=operation.shown.id,
            died_by_ms=operation.cutoff_ms,
            specs=specs,
            fresh=operation.asked.fresh,
        )
        return result_of(ids, codes)

    async def _patched(self, operation: StoredOperation, queue: Queue, stored: StoredSpec) -> _Patched:
        """Return a job with the patch applied. Raises: SubmissionError, or one of UNDECODABLE."""
        before = msgspec.msgpack.decode(stored.payload)
        after = merged(before, operation.asked.patch)
        content = msgspec.msgpack.encode({"type": queue.type, "payload": after})
        decoded = await self._intake.decode(queue.tenant, content, MSGPACK)
        policy = await self._intake.admit(queue.tenant, decoded)
        # One that is stored encrypted stays so, whatever its type and its tenant say by now.
        coding = policy.coding._replace(encrypt=policy.encrypted or stored.job.encrypted)
        await self._codec.prepare(queue.tenant, [coding])
        is_secret = self._codec.encrypts(coding, queue.tenant)
        return _Patched(
            NewSpec(with_payload(stored.blob, decoded.payload), stored.job.version, coding),
            # What is encrypted in Redis is not to stand in the history as it is.
            OperationSample(stored.job.id, [] if is_secret else changes_of(before, decoded.value)),
        )
