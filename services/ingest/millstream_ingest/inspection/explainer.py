"""Says why a job is where it is: what its parents, its queue and the workers of its type have to do with it."""

from millstream_contracts import (
    BreakerState,
    BreakerStatus,
    Job,
    JobExplanation,
    JobId,
    JobState,
    Queue,
    QueueLimits,
    QueueStatus,
    Reason,
    ReasonCode,
    RelatedJob,
    moment,
)
from millstream_ingest.inspection.dependency_reader import DependencyReader
from millstream_ingest.inspection.holding import holding_words
from millstream_ingest.inspection.queues import QueueStats
from millstream_ingest.inspection.running import count_running
from millstream_streams import Broker, Place, StoredSettings, available, takers_of

MAX_PARENTS = 20
"""How many of the jobs for which a job waits are named."""


class Explainer:
    """Explains jobs. May raise StoreUnavailableError."""

    def __init__(self, broker: Broker, dependencies: DependencyReader, queues: QueueStats) -> None:
        self._broker = broker
        self._registry = broker.registry
        self._settings = broker.settings
        self._lanes = broker.lanes
        self._clock = broker.clock
        self._dependencies = dependencies
        self._queues = queues

    async def explain(self, queue: Queue, job: Job) -> JobExplanation:
        """Return why a job that was read before is where it is."""
        return JobExplanation(id=job.id, state=job.state, reasons=await self._reasons(queue, job))

    async def _reasons(self, queue: Queue, job: Job) -> list[Reason]:
        match job.state:
            case JobState.BLOCKED:
                return await self._of_blocked(queue, job)
            case JobState.SCHEDULED:
                return [_of_scheduled(job)]
            case JobState.QUEUED:
                return await self._of_queued(queue, job)
            case JobState.RUNNING:
                asked = ", and was asked to stop" if job.cancel_requested else ""
                told = f"it runs on {job.worker or 'a worker'}{asked}"
                return [Reason(code=ReasonCode.RUNNING, detail=told)]
            case JobState.DEAD:
                told = f"it is dead ({job.reason or 'attempts'}): retry it, or discard it"
                return [Reason(code=ReasonCode.DEAD, detail=told)]
            case _:
                because = f", because of {job.because_of}" if job.because_of else ""
                return [Reason(code=ReasonCode.ENDED, detail=f"it has ended: it is {job.state}{because}")]

    async def _of_blocked(self, queue: Queue, job: Job) -> list[Reason]:
        found = await self._dependencies.read(queue, job)
        holding = [one for one in found.after if one.blocks]
        # What a person has to decide about is first.
        holding.sort(key=lambda one: one.state is not JobState.DEAD)
        reasons = [_of_parent(one) for one in holding[:MAX_PARENTS]]
        if (more := len(holding) - MAX_PARENTS) > 0:
            reasons.append(Reason(code=ReasonCode.PARENT, detail=f"it waits for {more:,} more jobs"))
        return reasons or [Reason(code=ReasonCode.PARENT, detail="it is about to be told that all its jobs have ended")]

    async def _of_queued(self, queue: Queue, job: Job) -> list[Reason]:
        reasons = []
        status = await self._queues.one(queue.tenant, queue.type)
        if status is not None and (status.paused or status.parked or status.breaker or status.held_until):
            place = await self._lanes.place(queue, job.id, job.priority, job.key or "") if status.parked else None
            stored = await self._settings.read(queue)
            part = stored.quota_part
            if part is None or place is None or place.length < part:
                reasons += _of_settings(status, stored, place)
            else:
                # Whether a limit holds it back as well shows once its queue has a larger part.
                reasons += [*_of_settings(status, stored, None), await self._of_quota(queue, place.length, part)]
        workers = takers_of(queue, available(await self._registry.workers(), self._clock.now_ms()))
        if not workers:
            told = f"no live worker handles `{queue.type}`: start one whose app has a handler for it"
            reasons.append(Reason(code=ReasonCode.NO_WORKER, detail=told))
        if reasons:
            return reasons
        ready = sum(status.queued.values()) if status else 1
        slots, busy = sum(one.concurrency for one in workers), sum(one.busy for one in workers)
        told = f"it is ready, one of {ready:,} jobs of its type; {busy:,} of {slots:,} slots of their workers are taken"
        return [Reason(code=ReasonCode.OTHERS, detail=told)]

    async def _of_quota(self, queue: Queue, held: int, part: int) -> Reason:
        noted = await self._broker.quotas.read(queue.tenant)
        running = await count_running(self._broker, queue.tenant)
        # A quota that is about to be removed is still in force here.
        most = "as many jobs at once as its quota said" if noted.quota is None else f"{noted.quota:,} jobs at once"
        of_queue = f"its queue may have {part:,} of them now, and has {held:,}"
        return Reason(code=ReasonCode.QUOTA, detail=f"its tenant may run {most}, and runs {running:,}: {of_queue}")


def _of_settings(status: QueueStatus, stored: StoredSettings, place: Place | None) -> list[Reason]:
    reasons = []
    if stored.is_suspended:
        told = "the operator has suspended the tenant: none of its jobs starts until the operator lets it go on"
        reasons.append(Reason(code=ReasonCode.SUSPENDED, detail=told))
    if stored.paused:
        because = f" ({stored.pause_reason})" if stored.pause_reason else ""
        told = f"the queue of `{status.type}` is paused{because}: resume it"
        reasons.append(Reason(code=ReasonCode.PAUSED, detail=told))
    if stored.held_until_ms is not None:
        reasons.append(_of_hold(f"all jobs of `{status.type}` are", stored.held_until_ms, stored.held_by))
    elif place is not None and place.key.held_until_ms is not None:
        reasons.append(_of_hold(f"the jobs of its key `{place.key.key}` are", place.key.held_until_ms))
    if stored.breaker and stored.breaker.state is not BreakerState.CLOSED:
        reasons.append(_of_breaker(stored.breaker, stored.limits))
    elif place is not None and not any(one.code is ReasonCode.HELD for one in reasons):
        limits = f" ({stored.limits.in_words})" if stored.limits else ""
        held = f"{status.parked:,} of {sum(status.queued.values()):,} ready jobs of its type"
        at = place.free_at_ms or place.key.free_at_ms
        told = f"{holding_words(place)}; the limits of its queue{limits} hold back {held}, while {status.running:,} run"
        reasons.append(Reason(code=ReasonCode.LIMITED, detail=told, at=moment(at) if at else None))
    return reasons


def _of_hold(what: str, until_ms: int, by: JobId | None = None) -> Reason:
    asked = f"the handler of {by}" if by else "a handler"
    told = f"{what} held back until then: {asked} was told to come back later"
    return Reason(code=ReasonCode.HELD, detail=told, job=by, at=moment(until_ms))


def _of_breaker(breaker: BreakerStatus, limits: QueueLimits | None) -> Reason:
    failed = f" ({breaker.failed:,} of {breaker.attempts:,} attempts failed)" if breaker.attempts else ""
    match breaker.state:
        case BreakerState.FORCED_OPEN:
            because = f" ({breaker.reason})" if breaker.reason else ""
            told = f"the circuit breaker of its queue was opened by hand{because}: close it"
        case BreakerState.OPEN:
            told = f"the circuit breaker of its queue is open until then{failed}"
        case _:
            wanted = limits.breaker.probes if limits and limits.breaker else 0
            told = (
                f"the circuit breaker of its queue is half-open{failed}: {breaker.succeeded:,} of {wanted:,} probes "
                f"have succeeded, and {breaker.probing:,} run"
            )
    return Reason(code=ReasonCode.BREAKER, detail=told, at=breaker.until)


def _of_parent(parent: RelatedJob) -> Reason:
    if parent.state is JobState.DEAD:
        told = f"it waits for {parent.id}, which is dead: retry that one, or discard it"
        return Reason(code=ReasonCode.PARENT_DEAD, detail=told, job=parent.id)
    state = f"is {parent.state}" if parent.state else "is not known any more"
    return Reason(code=ReasonCode.PARENT, detail=f"it waits for {parent.id}, which {state}", job=parent.id)


def _of_scheduled(job: Job) -> Reason:
    if job.waiting_for:
        told = f"its handler waits for the signal `{job.waiting_for}`"
        return Reason(code=ReasonCode.SIGNAL, detail=told, at=job.run_at)
    again = f"attempt {job.attempts} has failed, and the next one" if job.attempts and job.error else "it"
    return Reason(code=ReasonCode.TIME, detail=f"{again} is due then", at=job.run_at)
