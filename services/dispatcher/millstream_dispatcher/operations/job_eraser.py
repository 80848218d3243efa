"""Erases jobs: what tells of a person is removed from Redis and from the history, and does not come back."""

from collections.abc import Collection, Sequence

from millstream_contracts import JobId, JobState, OperationRefusal, Queue
from millstream_dispatcher.operations.page_result import NO_JOB, PageResult
from millstream_history import History, StoredOperation
from millstream_streams import ActionCode, Broker
from millstream_telemetry import ServerSpan

RUNNING = "it runs: it can be erased once it has ended"

# A job in one of these is not removed from Redis.
_KEPT = frozenset({JobState.RUNNING})


class JobEraser:
    """Erases jobs in any state but that of running."""

    def __init__(self, broker: Broker, history: History) -> None:
        self._store = broker.store
        self._views = broker.views
        self._erasures = history.erasures

    async def act(
        self,
        operation: StoredOperation,
        queue: Queue,
        ids: Sequence[JobId],
        span: ServerSpan,  # noqa: ARG002
    ) -> PageResult:
        """Erase jobs. A repetition erases what is left. Raises: StoreError, HistoryError."""
        known = await self._erasures.known(queue.tenant, ids)
        live = {job.id: job for job in await self._views.jobs(queue, ids)}
        states = {job_id: job.state for job_id, job in live.items()}
        refused = [OperationRefusal(one, RUNNING) for one in ids if states.get(one) in _KEPT]
        refused += [OperationRefusal(one, NO_JOB) for one in ids if one not in states and one not in known]
        left_alone = {one.id for one in refused}
        chosen = [one for one in ids if one not in left_alone]
        if operation.asked.dry_run or not chosen:
            return PageResult(chosen, refused)
        found = [live[one].workflow if one in live else known.get(one) for one in chosen]
        workflows = {one for one in found if one}
        return PageResult(refusals=refused).and_more(await self._erase(queue, chosen, workflows))

    async def _erase(self, queue: Queue, ids: Sequence[JobId], workflows: Collection[str]) -> PageResult:
        # Marked first: whatever a dispatcher stores from now on has no data of these jobs.
        await self._erasures.mark(queue.tenant, ids, workflows)
        codes = await self._store.erase(queue, ids)
        began = [one for one, code in zip(ids, codes, strict=True) if code is ActionCode.WRONG_STATE]
        if began:
            await self._erasures.unmark(queue.tenant, began)
        done = [one for one in ids if one not in began]
        if done:
            await self._erasures.blank(queue.tenant, done)
        return PageResult(done, [OperationRefusal(one, RUNNING) for one in began])
