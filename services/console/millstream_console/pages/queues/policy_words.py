"""Says how jobs of a type are tried, in words."""

from millstream_console.drawing.numbers import length
from millstream_console.drawing.sentence import counted
from millstream_contracts import Backoff, TypePolicy

MOST_DELAYS = 6


def attempts_of(policy: TypePolicy) -> str:
    """Say how often a job is tried, and how long it waits in between."""
    if policy.max_attempts == 1:
        return "1, so the first failure is the last"
    return f"{policy.max_attempts:,}, {_delays(policy)}"


def timeout_of(policy: TypePolicy) -> str:
    """Say how long an attempt may take."""
    return "none: an attempt may take as long as it needs" if policy.timeout_s is None else _seconds(policy.timeout_s)


def partitions_of(policy: TypePolicy) -> str:
    """Say over how many partitions the queue is spread."""
    return counted(policy.partitions, "partition")


def gathering_of(policy: TypePolicy) -> str:
    """Say how many jobs a call of a batch handler takes; nothing for another handler."""
    if policy.gathers is None:
        return ""
    size, wait_s = policy.gathers.size, policy.gathers.wait_s
    return f"called for up to {counted(size, 'job')} at once, gathered for up to {_seconds(wait_s)}"


def _delays(policy: TypePolicy) -> str:
    if policy.delays_s is None:
        return _backoff(policy.backoff)
    shown = ", ".join(_seconds(delay) for delay in policy.delays_s[:MOST_DELAYS])
    return f"after {shown}{' and so on' if len(policy.delays_s) > MOST_DELAYS else ''}"


def _backoff(backoff: Backoff) -> str:
    drawn = ", each drawn at random below that" if backoff.jitter else ""
    if backoff.kind == "constant":
        return f"{_seconds(min(backoff.base_s, backoff.cap_s))} apart{drawn}"
    grows = "doubled each time" if backoff.kind == "exponential" else f"{_seconds(backoff.base_s)} more each time"
    return f"after {_seconds(backoff.base_s)}, {grows}, up to {_seconds(backoff.cap_s)}{drawn}"


def _seconds(value: float) -> str:
    """Return a length as it was set: `1 s`, and `10 m` for 600."""
    return length(value) if value >= 60 or value < 0.1 else f"{value:g} s"
