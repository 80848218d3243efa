"""Reads what a durable handler has behind it."""

from millstream_contracts import Job, JobStep, JobSteps, Queue, StoredStep, moment
from millstream_streams import JobViews


class StepReader:
    """Reads the steps of one job. May raise StoreUnavailableError."""

    def __init__(self, views: JobViews) -> None:
        self._views = views

    async def read(self, queue: Queue, job: Job) -> JobSteps:
        """Return the steps of a job that was read before."""
        steps = await self._views.steps(queue, job.id)
        return JobSteps(
            id=job.id,
            waiting_for=job.waiting_for,
            steps=[_shown(name, step) for name, step in steps.items()],
            kept_signals=await self._views.kept_signals(queue, job.id),
        )


def _shown(name: str, step: StoredStep) -> JobStep:
    goes_on = step.kind == "wait"
    until_ms = step.content.decode(errors="replace") if goes_on else ""
    return JobStep(
        name=name,
        kind=step.kind,
        saved_at=moment(step.at_ms),
        version=step.version or None,
        size_bytes=0 if goes_on else len(step.content),
        until=moment(int(until_ms)) if until_ms.isdecimal() else None,
    )
