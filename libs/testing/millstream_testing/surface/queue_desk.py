"""Answers requests about limits, pauses, breakers and holds of queues from memory."""

from collections.abc import Callable, Mapping

import msgspec

from millstream_contracts import FieldError, JobType, QueueLimits, QueueSettings, moment
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.limits_of_types import TypeLimits
from millstream_testing.memory.memory_breaker import MemoryBreaker
from millstream_testing.surface.refusals import RefusedError
from millstream_testing.virtual_clock import VirtualClock

_decode = msgspec.msgpack.Decoder(QueueLimits).decode


QueueRoute = Callable[[JobType, Mapping[str, str], bytes], QueueSettings]
"""Answers a request about the queue of a type, by its query and its content."""


class QueueDesk:
    """What is set of the queues of a test, as the API shows it. `partitions_of` says how many a type has."""

    def __init__(self, ledger: Ledger, clock: VirtualClock, partitions_of: Callable[[JobType], int]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._partitions_of = partitions_of
        self._routes: dict[tuple[str, str], QueueRoute] = {
            ("GET", "settings"): lambda type_, *_: self.settings(type_),
            ("PUT", "limits"): lambda type_, _, content: self.limit(type_, content),
            ("DELETE", "limits"): lambda type_, *_: self.unlimit(type_),
            ("POST", "pause"): lambda type_, query, _: self.pause(type_, query.get("reason", "")),
            ("POST", "resume"): lambda type_, *_: self.resume(type_),
            ("POST", "breaker/open"): lambda type_, query, _: self.open_breaker(type_, query.get("reason", "")),
            ("POST", "breaker/close"): lambda type_, *_: self.close_breaker(type_),
            ("DELETE", "hold"): lambda type_, query, _: self.end_hold(type_, query.get("key")),
        }

    def route(self, method: str, verb: str) -> QueueRoute | None:
        """Return what answers a request; None where nothing does."""
        return self._routes.get((method, verb))

    def settings(self, job_type: JobType) -> QueueSettings:
        """Return what is set of a queue."""
        one, now_ms, waiting = self._ledger.limits.of(job_type), self._clock.now_ms, self._ledger.waiting
        held_ms = waiting.held_until(job_type, None)
        return QueueSettings(
            type=job_type,
            paused=one.is_paused,
            paused_at=moment(one.paused_at_ms) if one.is_paused else None,
            pause_reason=one.pause_reason,
            limits=one.limits,
            limits_set_at=moment(one.asked_at_ms) if one.asked else None,
            limits_source="operator" if one.asked else "handler" if one.declared else None,
            declared=one.declared,
            breaker=one.breaker.status(now_ms) if one.breaker else None,
            held_until=moment(held_ms) if held_ms > now_ms else None,
        )

    def limit(self, job_type: JobType, content: bytes) -> QueueSettings:
        """Set limits. Raises: RefusedError, for those that cannot hold."""
        try:
            asked = _decode(content)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise RefusedError(422, "invalid-request", str(error)) from error
        if fault := asked.fault_over(self._partitions_of(job_type)):
            name, why = fault
            raise RefusedError(422, "invalid-request", errors=[FieldError(f"/{name}", why)])
        return self._set(job_type, asked)

    def unlimit(self, job_type: JobType) -> QueueSettings:
        """Have the limits alone that the handler declares."""
        return self._set(job_type, None)

    def pause(self, job_type: JobType, reason: str) -> QueueSettings:
        """Pause a queue, which keeps its first reason."""
        one = self._ledger.limits.of(job_type)
        if not one.is_paused:
            one.is_paused, one.paused_at_ms, one.pause_reason = True, self._clock.now_ms, reason
        return self.settings(job_type)

    def resume(self, job_type: JobType) -> QueueSettings:
        """Let a paused queue go on."""
        one = self._ledger.limits.of(job_type)
        one.is_paused, one.pause_reason = False, ""
        return self.settings(job_type)

    def open_breaker(self, job_type: JobType, reason: str) -> QueueSettings:
        """Open the circuit breaker by hand. Raises: RefusedError, where there is none."""
        self._breaker(job_type).force_open(reason, self._clock.now_ms)
        return self.settings(job_type)

    def close_breaker(self, job_type: JobType) -> QueueSettings:
        """Close it. Raises: RefusedError, where there is none."""
        self._breaker(job_type).close()
        return self.settings(job_type)

    def end_hold(self, job_type: JobType, key: str | None) -> QueueSettings:
        """Let the jobs start that a handler holds back, or those of a key."""
        self._ledger.waiting.end_hold(job_type, key)
        return self.settings(job_type)

    def _set(self, job_type: JobType, asked: QueueLimits | None) -> QueueSettings:
        one: TypeLimits = self._ledger.limits.of(job_type)
        one.asked, one.asked_at_ms = asked, self._clock.now_ms
        one.apply()
        return self.settings(job_type)

    def _breaker(self, job_type: JobType) -> MemoryBreaker:
        breaker = self._ledger.limits.of(job_type).breaker
        if breaker is None:
            why = "the queue has no circuit breaker: set one with its limits, or pause the queue"
            raise RefusedError(409, "wrong-state", why)
        return breaker
