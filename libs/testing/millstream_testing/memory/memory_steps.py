"""The steps of durable handlers in memory: as scripts/save_step.lua, await_step.lua and signal.lua have them."""

from collections.abc import Callable, Sequence

from millstream_contracts import JobId, JobState, Queue, StepAnswer, StepCode, StoredStep, limits
from millstream_streams import Delivery, Idempotency, QueueScripts, SignalCode, StepStore
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.stored_job import NIL, StoredJob
from millstream_testing.virtual_clock import VirtualClock


class MemoryStepStore(StepStore):
    """Keeps steps at the jobs of the ledger."""

    def __init__(
        self, scripts: QueueScripts, ledger: Ledger, clock: VirtualClock, loses: Callable[[Delivery, str], bool]
    ) -> None:
        """Take what says whether the worker of a delivery vanishes before a step of this name is stored."""
        super().__init__(scripts)
        self._loses = loses
        self._ledger = ledger
        self._clock = clock

    async def save_step(self, delivery: Delivery, name: str, version: str, kind: str, content: bytes) -> StepAnswer:
        """Store what a step of a delivery has given, unless it is stored already."""
        job = self._ledger.find(delivery.id)
        if self._loses(delivery, name):
            return StepAnswer(StepCode.STALE)
        if refused := _refused(job, delivery):
            return refused
        assert job is not None
        before = job.steps.get(name)
        is_called = kind == "call" and before is not None and before.kind == "calling"
        if before is not None and before.version == version and not is_called:
            return StepAnswer(StepCode.FOUND, before)
        return self._put(job, name, StoredStep(kind, self._clock.now_ms, version, content))

    async def await_step(self, delivery: Delivery, name: str, signal: str, ends: str) -> StepAnswer:
        """Let a delivery wait in a step."""
        job = self._ledger.find(delivery.id)
        if refused := _refused(job, delivery):
            return refused
        assert job is not None
        now_ms, before = self._clock.now_ms, job.steps.get(name)
        if before is not None and before.kind != "wait":
            return StepAnswer(StepCode.SAVED, before)
        text = before.content.decode() if before is not None else self._moment(ends)
        found = next((at for at, (one, _) in enumerate(job.signals) if signal and one == signal), None)
        if found is not None:
            answer = self._put(job, name, StoredStep("signal", now_ms, "", job.signals[found][1]))
            if answer.code is StepCode.SAVED:
                job.signals = [one for at, one in enumerate(job.signals) if at != found]
            return answer
        if text and int(text) <= now_ms:
            return self._put(job, name, StoredStep("timeout" if signal else "slept", now_ms, "", NIL))
        if before is None:
            answer = self._put(job, name, StoredStep("wait", now_ms, "", text.encode()))
            if answer.code is not StepCode.SAVED:
                return answer
        return StepAnswer(StepCode.FOUND, left_ms=int(text) - now_ms if text else None)

    async def let_go(self, queue: Queue, ids: Sequence[JobId]) -> int:  # noqa: ARG002 - the ledger forgets none sooner
        """Return that nothing is forgotten by this."""
        return 0

    async def signal(
        self,
        queue: Queue,  # noqa: ARG002 - the id is enough
        job_id: JobId,
        name: str,
        payload: bytes,
        idempotency: Idempotency | None = None,
    ) -> SignalCode:
        """Send a signal to a job."""
        return self._ledger.signal(job_id, name, payload, idempotency)

    def _put(self, job: StoredJob, name: str, step: StoredStep) -> StepAnswer:
        steps = job.steps | {name: step}
        if len(steps) > limits.MAX_STEPS:
            return StepAnswer(StepCode.TOO_MANY)
        if sum(len(one) + len(kept.content) for one, kept in steps.items()) > limits.MAX_STEPS_BYTES:
            return StepAnswer(StepCode.TOO_LARGE)
        job.steps = steps
        return StepAnswer(StepCode.SAVED, step)

    def _moment(self, ends: str) -> str:
        return str(self._clock.now_ms + int(ends[1:])) if ends.startswith("+") else ends


def _refused(job: StoredJob | None, delivery: Delivery) -> StepAnswer | None:
    """Return the answer to a delivery that is none any more."""
    if job is None:
        return StepAnswer(StepCode.UNKNOWN_JOB)
    is_held = job.state is JobState.RUNNING and job.token == delivery.token
    return None if is_held else StepAnswer(StepCode.STALE)
