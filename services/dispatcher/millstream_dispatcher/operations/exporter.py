"""Carries out an export by one job of `data.export`, and follows it: a dispatcher writes no files."""

import hashlib
from typing import Any

from millstream import NewJob
from millstream_contracts import ExportOptions, Job, JobId, JobState, OperationState, queue_of
from millstream_history import Advance, History, JobQuery, StoredOperation
from millstream_streams import Broker
from millstream_submission import SubmissionError, SystemSubmitter
from millstream_telemetry import NO_TRACE

JOB_TYPE = "data.export"
TAG = "operation"
"""The tag of such a job, with the id of the operation."""

LOOK_EVERY_S = 2.0


class Exporter:
    """Submits the jobs of exports, each once, and tells how far they are."""

    def __init__(self, broker: Broker, history: History, submitter: SystemSubmitter) -> None:
        self._store = broker.store
        self._views = broker.views
        self._history = history
        self._submitter = submitter

    async def step(self, operation: StoredOperation) -> Advance:
        """Take one step of an export. Raises: StoreError, HistoryError."""
        job_id = operation.shown.job_id
        return await (self._start(operation) if job_id is None else self._follow(operation, JobId(job_id)))

    async def cancel(self, operation: StoredOperation) -> None:
        """Cancel the job of an export that a person has ended. Raises: StoreError."""
        job_id = JobId(operation.shown.job_id or "")
        if queue := queue_of(operation.tenant, job_id):
            await self._store.cancel(queue, [job_id])

    async def _start(self, operation: StoredOperation) -> Advance:
        new = NewJob(JOB_TYPE, _payload(operation), tags={TAG: operation.shown.id})
        # The same job each time: the step may be repeated.
        key = hashlib.blake2b(f"export {operation.shown.id}".encode(), digest_size=16).digest()
        try:
            built = await self._submitter.build(operation.tenant, new.content, key, caller=NO_TRACE)
        except SubmissionError as error:
            return Advance(state=OperationState.FAILED, detail=error.detail)
        [stored] = await self._submitter.store([built])
        return Advance(state=OperationState.RUNNING, job_id=stored.id, pause_s=LOOK_EVERY_S)

    async def _follow(self, operation: StoredOperation, job_id: JobId) -> Advance:
        job = await self._job(operation, job_id)
        if job is None:
            return Advance(state=OperationState.FAILED, detail="there is no such job any more: data.export")
        if job.state is JobState.SUCCEEDED:
            rows, path = _written(job.result)
            return Advance(state=OperationState.DONE, detail=path, found=rows, done=rows)
        if job.state.is_settled:
            why = job.reason or (job.error.message if job.error else "")
            return Advance(state=OperationState.FAILED, detail=f"its job is {job.state}: {why}")
        told = job.progress.note if job.progress else f"its job is {job.state}"
        return Advance(state=OperationState.RUNNING, detail=told, pause_s=LOOK_EVERY_S)

    async def _job(self, operation: StoredOperation, job_id: JobId) -> Job | None:
        queue = queue_of(operation.tenant, job_id)
        live = await self._views.job(queue, job_id) if queue else None
        if live is not None:
            return live
        stored = await self._history.job(operation.tenant, job_id)
        return stored.job if stored else None


def _payload(operation: StoredOperation) -> dict[str, Any]:
    """Return the payload of the job: the jobs that were chosen, as at the time of the operation."""
    options = operation.asked.export or ExportOptions()
    form = {"format": options.format, "payloads": options.payloads, "name": options.name}
    if operation.query is None:
        return {**form, "ids": operation.asked.ids}
    return {**form, "query": _words(operation.query), "as_of": operation.query.asked_at.isoformat()}


def _words(query: JobQuery) -> str:
    """Return a query as one text."""
    beside = {"type": query.type, "state": query.state}
    return " ".join([query.q, *(f'{name}:"{value}"' for name, value in beside.items() if value is not None)]).strip()


def _written(result: Any) -> tuple[int, str]:
    """Return how many rows a job has written, and where, as its result says."""
    match result:
        case {"rows": int(rows), "path": str(path)}:
            return rows, path
    return 0, ""
