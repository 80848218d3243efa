"""What became of the jobs of one page of an operation, whatever it does."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from millstream_contracts import JobId, OperationRefusal, OperationSample, Queue, Tenant, queue_of
from millstream_history import StoredOperation
from millstream_streams import ActionCode
from millstream_telemetry import ServerSpan

NO_JOB = "there is no such job"
HAS_ENDED = "it has ended"
NOT_DEAD = "it is not dead, or died after the operation was asked for"

_REASONS: Mapping[ActionCode, str] = {
    ActionCode.WRONG_STATE: NOT_DEAD,
    ActionCode.UNKNOWN_JOB: NO_JOB,
    ActionCode.CHANGED: "it changed meanwhile",
    ActionCode.UNIQUE_CONFLICT: "another job holds its unique key",
}


class PageResult(Struct, frozen=True):
    """What became of the jobs of a page, each of which is done or refused."""

    done: Sequence[JobId] = ()
    """In a dry run: the jobs that would be done."""
    refusals: Sequence[OperationRefusal] = ()
    samples: Sequence[OperationSample] = ()

    def and_more(self, other: "PageResult") -> "PageResult":
        """Return this result and that of other jobs as one."""
        return PageResult([*self.done, *other.done], [*self.refusals, *other.refusals], [*self.samples, *other.samples])


class Actor(Protocol):
    """Does what operations of one kind do."""

    async def act(self, operation: StoredOperation, queue: Queue, ids: Sequence[JobId], span: ServerSpan) -> PageResult:
        """Act on the jobs of a page that are of one queue; `span` is that of the page. A repetition acts on none twice.

        Raises: StoreError, HistoryError.
        """
        ...


def by_queue(tenant: Tenant, ids: Sequence[JobId]) -> tuple[dict[Queue, list[JobId]], PageResult]:
    """Return ids by their queues, and the refusals of those that are no ids."""
    found: defaultdict[Queue, list[JobId]] = defaultdict(list)
    refusals: list[OperationRefusal] = []
    for job_id in ids:
        if queue := queue_of(tenant, job_id):
            found[queue].append(job_id)
        else:
            refusals.append(OperationRefusal(job_id, NO_JOB))
    return found, PageResult(refusals=refusals)


def result_of(
    ids: Sequence[JobId], codes: Sequence[ActionCode], reasons: Mapping[ActionCode, str] = _REASONS
) -> PageResult:
    """Return what a script has answered for jobs, in their order; `reasons` has the words for each refusal."""
    pairs = list(zip(ids, codes, strict=True))
    return PageResult(
        [job_id for job_id, code in pairs if code not in reasons],
        [OperationRefusal(job_id, reasons[code]) for job_id, code in pairs if code in reasons],
    )
