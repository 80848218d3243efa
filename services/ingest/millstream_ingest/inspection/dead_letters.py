"""Acts on dead letters: redrives or discards them, by id or by type."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from itertools import chain

from millstream_contracts import (
    ActionReport,
    ActionResult,
    JobId,
    JobState,
    JobType,
    Queue,
    Tenant,
    ids_by_queue,
    is_among,
    limits,
)
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.inspection.jobs import JobLister
from millstream_streams import ActionCode, Broker, StoreUnavailableError, in_calls
from millstream_submission import Redriver
from millstream_telemetry import IngestMetrics, JobTracer, ServerSpan


class DeadAction(StrEnum):
    """What can be done with a dead letter."""

    REDRIVE = "redrive"
    DISCARD = "discard"


_RESULTS = {
    ActionCode.DONE: (202, ""),
    ActionCode.WRONG_STATE: (409, "it is not dead"),
    ActionCode.UNKNOWN_JOB: (404, "there is no such job"),
    ActionCode.UNIQUE_CONFLICT: (409, "another job holds its unique key"),
}
_UNAVAILABLE = (503, "Redis cannot be reached")


class DeadLetters:
    """Carries out what operators decide."""

    def __init__(
        self, broker: Broker, lister: JobLister, tracer: JobTracer, metrics: IngestMetrics, refusals: RefusalLog
    ) -> None:
        self._store = broker.store
        self._lister = lister
        self._redriver = Redriver(broker.store, broker.views, tracer)
        self._metrics = metrics
        self._refusals = refusals

    async def act(
        self,
        action: DeadAction,
        tenant: Tenant,
        ids: Sequence[str],
        request: ServerSpan,
        *,
        types: Sequence[str] = (),
    ) -> ActionReport:
        """Act on the jobs of these ids; the report is in their order, a repeated id answered once.

        Jobs whose type matches none of `types` are as unknown as those that are not there, where there are any.
        Raises: StoreUnavailableError, when Redis was away from the beginning. When it goes away later the
        report says what was not done.
        """
        results = dict.fromkeys(ids, _RESULTS[ActionCode.UNKNOWN_JOB])
        act = partial(self.redrive, request=request) if action is DeadAction.REDRIVE else self.discard
        is_begun = False
        by_queue = ids_by_queue(tenant, ids)
        if types:
            by_queue = {queue: known for queue, known in by_queue.items() if is_among(queue.type, types)}
        for queue, load in chain.from_iterable(_loads(queue, known) for queue, known in by_queue.items()):
            try:
                codes = await act(queue, load)
            except StoreUnavailableError as error:
                if not is_begun:
                    raise
                path = f"/v1/dead/{action}"
                self._refusals.note(error, refusal_of(error), method="POST", route=path, count=len(load))
                results.update(dict.fromkeys(load, _UNAVAILABLE))
            else:
                is_begun = True
                results.update(zip(load, (_RESULTS[code] for code in codes), strict=True))
        items = [ActionResult(job_id, status, detail) for job_id, (status, detail) in results.items()]
        done = sum(item.status == 202 for item in items)
        return ActionReport(done=done, refused=len(items) - done, items=items)

    async def act_on_type(
        self, action: DeadAction, tenant: Tenant, job_type: JobType, limit: int, request: ServerSpan
    ) -> ActionReport:
        """Act on the newest dead letters of a type, at most `limit`. Raises: StoreUnavailableError."""
        ids: list[str] = []
        cursor: str | None = None
        while len(ids) < limit:
            size = min(limits.MAX_PAGE, limit - len(ids))
            page = await self._lister.dead(tenant, job_type, cursor=cursor, limit=size)
            ids += [letter.id for letter in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        return await self.act(action, tenant, ids, request)

    async def redrive(
        self, queue: Queue, ids: Sequence[JobId], *, request: ServerSpan, fresh: bool = False
    ) -> list[ActionCode]:
        """Redrive jobs of one queue, at most `limits.MAX_SCRIPT_JOBS`. Raises: StoreUnavailableError.

        `fresh` ones have no step of their handler behind them.
        """
        return await self._redriver.redrive(queue, ids, request=request, fresh=fresh)

    async def discard(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Discard jobs of one queue, at most `limits.MAX_SCRIPT_JOBS`. Raises: StoreUnavailableError."""
        codes = await self._store.discard(queue, ids)
        self._metrics.count_finished(queue.type, JobState.CANCELLED, codes.count(ActionCode.DONE))
        return codes


def _loads(queue: Queue, ids: Sequence[JobId]) -> list[tuple[Queue, Sequence[JobId]]]:
    return [(queue, some) for some in in_calls(ids)]
