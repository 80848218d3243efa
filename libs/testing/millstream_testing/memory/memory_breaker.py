"""The circuit breaker of a type in memory: the rules of _breaker.lua."""

import math

from millstream_contracts import (
    Breaker,
    BreakerState,
    BreakerStatus,
    Dead,
    HandedBack,
    JobId,
    Outcome,
    RetryAt,
    Succeeded,
    moment,
)


class MemoryBreaker:
    """Counts how attempts end while it is closed, and lets few jobs in, or none, while it is not. Times: Unix ms."""

    def __init__(self, limits: Breaker) -> None:
        self.limits = limits
        self.close()

    def close(self) -> None:
        """Close it, and forget what it has counted."""
        self._state = BreakerState.CLOSED
        self._since_ms = self._until_ms = 0
        self._row = self._good = self._failed = self._of = 0
        self._reason = ""
        self._probes: set[JobId] = set()
        self._half_ms = 0
        """When the half window began that is on."""
        self._ends: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
        """Successes and failures in it, and in the one before."""

    def state(self, now_ms: int) -> BreakerState:
        """Return what it does now. When its time is over it lets probes in."""
        if self._state is BreakerState.OPEN and self._until_ms <= now_ms:
            self._state, self._good, self._probes = BreakerState.HALF_OPEN, 0, set()
        return self._state

    def room(self, now_ms: int) -> float:
        """Return how many jobs it lets in."""
        match self.state(now_ms):
            case BreakerState.CLOSED:
                return math.inf
            case BreakerState.HALF_OPEN:
                return self.limits.probes - len(self._probes)
            case _:
                return 0

    def free_at_ms(self, now_ms: int) -> int | None:
        """Return when it lets probes in, while it is open; None where no time alone does."""
        return self._until_ms if self.state(now_ms) is BreakerState.OPEN else None

    def start(self, job_id: JobId, now_ms: int) -> None:
        """Note that a job is let in."""
        if self.state(now_ms) is BreakerState.HALF_OPEN:
            self._probes.add(job_id)

    def end(self, job_id: JobId, verdict: int, now_ms: int) -> None:
        """Note how a delivery has ended: 1 with success, -1 with a failure, 0 with neither."""
        state = self.state(now_ms)
        is_probe = job_id in self._probes
        self._probes.discard(job_id)
        if state is BreakerState.HALF_OPEN and is_probe:
            self._judge_probe(verdict, now_ms)
        elif state is BreakerState.CLOSED and verdict:
            self._count(verdict, now_ms)

    def force_open(self, reason: str, now_ms: int) -> None:
        """Open it until it is closed by hand."""
        if self.state(now_ms) is not BreakerState.FORCED_OPEN:
            self.close()
            self._state, self._since_ms, self._reason = BreakerState.FORCED_OPEN, now_ms, reason

    def status(self, now_ms: int) -> BreakerStatus:
        """Return what the API shows of it."""
        state = self.state(now_ms)
        if state is BreakerState.CLOSED:
            return BreakerStatus(state=state)
        is_half = state is BreakerState.HALF_OPEN
        return BreakerStatus(
            state=state,
            since=moment(self._since_ms),
            until=moment(self._until_ms) if state is BreakerState.OPEN else None,
            failed=self._failed,
            attempts=self._of,
            succeeded=self._good if is_half else 0,
            probing=len(self._probes) if is_half else 0,
            reason=self._reason,
            in_a_row=self._row,
        )

    def _judge_probe(self, verdict: int, now_ms: int) -> None:
        if verdict < 0:
            self._trip(1, self._good + 1, now_ms)
            return
        self._good += verdict
        if self._good >= self.limits.probes:
            self.close()

    def _count(self, verdict: int, now_ms: int) -> None:
        half_ms = round(self.limits.window_s * 1000) // 2
        began_ms = now_ms - now_ms % half_ms
        now, before = self._ends
        if self._half_ms != began_ms:
            now, before = (0, 0), now if self._half_ms == began_ms - half_ms else (0, 0)
        now = now[0] + (verdict > 0), now[1] + (verdict < 0)
        self._half_ms, self._ends = began_ms, (now, before)
        failed, of = now[1] + before[1], sum(now) + sum(before)
        if of >= self.limits.minimum and failed >= self.limits.ratio * of:
            self._trip(failed, of, now_ms)

    def _trip(self, failed: int, of: int, now_ms: int) -> None:
        row = self._row + 1
        open_s = min(self.limits.cool_down_s * 2 ** min(row - 1, 30), self.limits.cap_s)
        self.close()
        self._state, self._since_ms, self._until_ms = BreakerState.OPEN, now_ms, now_ms + round(open_s * 1000)
        self._row, self._failed, self._of = row, failed, of


def verdict_of(outcome: Outcome | HandedBack, *, is_cancelled: bool) -> int:
    """Return what an outcome says to a circuit breaker: 1 success, -1 failure, 0 neither."""
    if isinstance(outcome, Succeeded):
        return 1
    # A payload that cannot be read says nothing about what the handler needs.
    has_failed = isinstance(outcome, RetryAt) or (isinstance(outcome, Dead) and outcome.reason != "invalid_payload")
    return -1 if has_failed and not is_cancelled else 0
