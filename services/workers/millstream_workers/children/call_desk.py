"""Makes the jobs that a durable handler calls, once each, and reads them when they have settled.

Their ids are stored as a step before the jobs are: whatever is lost after that, a later delivery makes the same jobs,
and none twice. A called job can be read for days after its end, unless its caller has the result before.
"""

import time
from collections.abc import Sequence

import msgspec

from millstream_contracts import CallAnswer, Job, JobId, StepCode, Tenant, ids_by_queue
from millstream_streams import STORED_WITHIN_S, JobViews, StepStore, StoreError, in_calls
from millstream_telemetry import Attempt, TraceContext
from millstream_workers.attempt.running import Running
from millstream_workers.children.child_jobs import ChildSubmitter
from millstream_workers.children.refusals import as_unavailable
from millstream_workers.children.step_keeper import StepKeeper

_encode_ids = msgspec.msgpack.Encoder().encode
_decode_ids = msgspec.msgpack.Decoder(list[JobId]).decode


class CallDesk:
    """Answers the calls of running handlers. Lives on the event loop."""

    def __init__(
        self, submitter: ChildSubmitter, keeper: StepKeeper, steps: StepStore, views: JobViews, tenant: Tenant
    ) -> None:
        self._submitter = submitter
        self._keeper = keeper
        self._steps = steps
        self._views = views
        self._tenant = tenant

    async def call(
        self,
        running: Running,
        span: Attempt,
        trace: TraceContext,
        name: str,
        contents: Sequence[bytes],
        known: Sequence[JobId],
        *,
        owner: str = "",
    ) -> CallAnswer:
        """Make the jobs that are not there yet, and return all once they have settled. `owner` is who has submitted it.

        Raises: InvalidChildError, before any is made; UnavailableError.
        """
        ids = list(known)
        with as_unavailable():
            found = await self._read(ids)
            if len(found) < len(contents):
                # The step is stored, or found, under the token: so this delivery is the job's own, and the jobs that
                # are not there were not made yet, or are lost. What another delivery makes from now on can be read for
                # longer than these may take to be stored: a frozen worker gives none a second life.
                begun_s = time.monotonic()
                wanted = _encode_ids(ids or await self._submitter.mint(contents))
                answer = await self._keeper.save(running, span, name, "", "calling", wanted)
                if answer.step is None or answer.step.kind != "calling":
                    return CallAnswer(answer.code if answer.step is None else StepCode.STALE)
                ids = _decode_ids(answer.step.content)
                missing = [(one, content) for one, content in zip(ids, contents, strict=True) if one not in found]
                await self._submitter.call(trace, missing, until_s=begun_s + STORED_WITHIN_S, owner=owner)
        pending = [job_id for job_id in ids if job_id not in found or not found[job_id].state.is_settled]
        return CallAnswer(StepCode.FOUND, [] if pending else [found[job_id] for job_id in ids], pending)

    async def let_go(self, ids: Sequence[JobId]) -> None:
        """Let called jobs be forgotten, because their results are stored. What is left out goes by itself later."""
        for queue, some in ids_by_queue(self._tenant, ids).items():
            for part in in_calls(some):
                try:
                    await self._steps.let_go(queue, part)
                except StoreError:
                    return

    async def _read(self, ids: Sequence[JobId]) -> dict[JobId, Job]:
        found: dict[JobId, Job] = {}
        for queue, some in ids_by_queue(self._tenant, ids).items():
            for part in in_calls(some):
                read = await self._views.with_specs(queue, part)
                found |= {job_id: job for job_id, (job, _) in read.items()}
        return found
