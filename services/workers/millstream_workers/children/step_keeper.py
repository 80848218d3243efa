"""Keeps the steps of durable handlers in Redis.

A delivery that is another worker's by now is stopped by its next step.
"""

from msgspec.structs import replace

from millstream_codec import MARK, STEP, Codec, Place
from millstream_contracts import StepAnswer, StepCode, StoredStep
from millstream_streams import JobViews, StepStore, coded_field
from millstream_telemetry import Attempt, WorkerMetrics, names
from millstream_workers.attempt.attempt_result import Interruption
from millstream_workers.attempt.running import Running
from millstream_workers.children.refusals import as_unavailable

_GIVEN = frozenset({"step", "call"})
"""The kinds of steps that have what a handler or a called job has given."""
_LOST = frozenset({StepCode.STALE, StepCode.UNKNOWN_JOB})


class StepKeeper:
    """Stores and reads the steps of running jobs. Lives on the event loop."""

    def __init__(self, store: StepStore, views: JobViews, metrics: WorkerMetrics, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()
        self._store = store
        self._views = views
        self._metrics = metrics

    async def read(self, running: Running) -> dict[str, StoredStep]:
        """Return what is stored of a job. Raises: UnavailableError."""
        with as_unavailable():
            found = await self._views.steps(running.delivery.queue, running.id)
            return {name: await self._opened(running, name, step) for name, step in found.items()}

    async def save(
        self, running: Running, span: Attempt, name: str, version: str, kind: str, content: bytes
    ) -> StepAnswer:
        """Store what a step has given. Raises: UnavailableError."""
        with as_unavailable():
            stored = await self._coded(running, name, content) if kind in _GIVEN else content
            answer = await self._store.save_step(running.delivery, name, version, kind, stored)
            return self._told(running, span, name, await self._read(running, name, answer))

    async def wait(self, running: Running, span: Attempt, name: str, signal: str, ends: str) -> StepAnswer:
        """Return whether a wait is over. Raises: UnavailableError."""
        with as_unavailable():
            answer = await self._store.await_step(running.delivery, name, signal, ends)
            return self._told(running, span, name, await self._read(running, name, answer))

    async def _coded(self, running: Running, name: str, content: bytes) -> bytes:
        """Return what is stored of what a step has given. It is not compressed: what it may take is bounded anyway."""
        coding = running.coding._replace(compress=False)
        await self._codec.prepare(running.delivery.queue.tenant, [coding])
        return coded_field(content, lambda value: self._codec.write(value, coding, _place(running, name)))

    async def _read(self, running: Running, name: str, answer: StepAnswer) -> StepAnswer:
        if answer.step is None:
            return answer
        return replace(answer, step=await self._opened(running, name, answer.step))

    async def _opened(self, running: Running, name: str, step: StoredStep) -> StoredStep:
        if not step.content.startswith(MARK):
            return step
        return replace(step, content=await self._codec.read(step.content, _place(running, name)))

    def _told(self, running: Running, span: Attempt, name: str, answer: StepAnswer) -> StepAnswer:
        if answer.code in _LOST:
            running.interrupt(Interruption.LEASE_LOST)
        elif answer.code is StepCode.SAVED and answer.step is not None and answer.step.kind != "calling":
            self._metrics.count_step(running.delivery.queue.type)
            span.note(names.STEP_SAVED, {names.STEP_NAME: name, names.STEP_KIND: answer.step.kind})
        return answer


def _place(running: Running, name: str) -> Place:
    return Place(running.delivery.queue.tenant, running.id, f"{STEP} {name}")
