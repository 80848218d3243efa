"""Reads jobs that Redis has forgotten, and the timelines of all, from the history."""

from contextlib import suppress

from msgspec.structs import replace

from millstream_contracts import Job, JobId, Queue, Tenant, Timeline
from millstream_history import ERASED_REASON, History, HistoryError, Transition
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import ERASED
from millstream_ingest.inspection.timeline_writer import timeline_of
from millstream_streams import Broker


class PastJobs:
    """Reads of single jobs. Every method may raise HistoryError, StoreUnavailableError, and IngestError (410)."""

    def __init__(self, broker: Broker, history: History | None) -> None:
        self._views = broker.views
        self._codec = broker.codec
        self._history = history

    async def job(self, queue: Queue, job_id: JobId) -> Job | None:
        """Return a job as the history knows it; None where it knows no such job, and where there is no history."""
        if self._history is None:
            return None
        found = await self._history.job(queue.tenant, job_id)
        if found is None or found.job.reason == ERASED_REASON:
            await self._refuse_erased(self._history, queue, job_id)
        if found is None:
            return None
        return replace(await self._codec.read_job(queue.tenant, found.job), source="history")

    async def owner(self, queue: Queue, job_id: JobId) -> str | None:
        """Return who has submitted a job; None where the history does not know, and where there is no history."""
        return None if self._history is None else await self._history.owner(queue.tenant, job_id)

    async def ended_as(self, tenant: Tenant, job_id: JobId) -> str | None:
        """Return the state in which a job has ended that Redis has forgotten; None where that is not known."""
        if self._history is None:
            return None
        with suppress(HistoryError):
            found = await self._history.job(tenant, job_id)
            if found is not None and found.job.state.is_terminal:
                return found.job.state.value
        return None

    async def timeline(
        self, history: History, queue: Queue, job_id: JobId, *, with_logs: bool = False
    ) -> Timeline | None:
        """Return what happened to a job, its present state included; None when there is no such job."""
        # Redis first: what happens between the two reads is in the second.
        live = await self._views.job(queue, job_id)
        transitions = await history.transitions(queue.tenant, job_id, with_logs=with_logs)
        job = live or await self.job(queue, job_id)
        return timeline_of(job, [await self._opened(step) for step in transitions]) if job else None

    async def _opened(self, step: Transition) -> Transition:
        """Return a transition with what is encrypted of it, as far as it can be decrypted."""
        tenant, job_id, error, lines = step.tenant, step.job_id, step.error, step.log_lines
        if error is not None and error.sealed:
            step = replace(step, error=await self._codec.read_error(error, tenant, job_id))
        if lines is not None and lines.sealed:
            step = replace(step, log_lines=await self._codec.read_lines(lines, tenant, job_id))
        return step

    @staticmethod
    async def _refuse_erased(history: History, queue: Queue, job_id: JobId) -> None:
        erased_at = await history.erasures.erased_at(queue.tenant, job_id)
        if erased_at is not None:
            raise IngestError(ERASED, f"the job was erased at {erased_at:%Y-%m-%d %H:%M:%S} UTC")
