"""The steps of durable handlers, and the signals that they wait for. See scripts/_steps.lua for their keys."""

from collections.abc import Sequence

from millstream_contracts import JobId, Queue, StepAnswer, StepCode, StoredStep, limits
from millstream_streams.store.deliveries import (
    Delivery,
    Idempotency,
    SignalCode,
)
from millstream_streams.store.queue_scripts import QueueScripts, check_size
from millstream_streams.store.scripting import Argument

_BOUNDS = (limits.MAX_STEPS, limits.MAX_STEPS_BYTES)


class StepStore:
    """Keeps what steps have given. Methods are as those of :class:`JobStore`."""

    def __init__(self, scripts: QueueScripts) -> None:
        self.keys = scripts.keys
        self._scripts = scripts

    async def save_step(self, delivery: Delivery, name: str, version: str, kind: str, content: bytes) -> StepAnswer:
        """Store what a step of a delivery has given, unless it is stored already: then that is the answer."""
        arguments: list[Argument] = [delivery.id, delivery.token, name, version, kind, content, *_BOUNDS]
        code, *stored = await self._scripts.run("save_step", delivery.queue, arguments)
        return StepAnswer(StepCode(code), StoredStep.read(stored[0]) if stored else None)

    async def await_step(self, delivery: Delivery, name: str, signal: str, ends: str) -> StepAnswer:
        """Let a delivery wait in a step, for a signal or for the time alone where `signal` is empty.

        `ends` is `+ms`, Unix ms, or empty. Code SAVED: the wait is over; FOUND: it goes on, for `left_ms`.
        """
        arguments: list[Argument] = [delivery.id, delivery.token, name, signal, ends, *_BOUNDS]
        code, *rest = await self._scripts.run("await_step", delivery.queue, arguments)
        if code == StepCode.FOUND:
            left_ms = int(rest[0])
            return StepAnswer(StepCode.FOUND, left_ms=None if left_ms < 0 else max(1, left_ms))
        return StepAnswer(StepCode(code), StoredStep.read(rest[0]) if rest else None)

    async def let_go(self, queue: Queue, ids: Sequence[JobId]) -> int:
        """Let called jobs be forgotten whose results are stored. Returns: for how many the time begins by this."""
        check_size(ids)
        return int(await self._scripts.run("let_go", queue, list(ids)))

    async def signal(
        self, queue: Queue, job_id: JobId, name: str, payload: bytes, idempotency: Idempotency | None = None
    ) -> SignalCode:
        """Send a signal to a job; `payload` is one MessagePack value."""
        key: bytes | str = ""
        if idempotency is not None:
            key = self.keys.of(queue).idempotency_prefix.encode() + idempotency.key
        fingerprint = idempotency.fingerprint if idempotency else ""
        kept_ms = limits.IDEMPOTENCY_TTL_S * 1000
        arguments: list[Argument] = [job_id, name, payload, fingerprint, key, kept_ms, limits.MAX_KEPT_SIGNALS]
        return SignalCode(await self._scripts.run("signal", queue, arguments))
