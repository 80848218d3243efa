"""The six numbers of the overview, each with what is usual."""

from collections.abc import Sequence

from markupsafe import Markup
from msgspec import Struct

from millstream_console.drawing.chart import spark
from millstream_console.drawing.numbers import grouped, length, share
from millstream_console.drawing.sentence import counted
from millstream_console.pages.queues.condition import ready
from millstream_console.reading.fleet import Slots
from millstream_console.reading.usual import Amount, Duration, amount, duration
from millstream_contracts import QueueStatus, Stats

_SPARK_STEPS = 30


class Figure(Struct, frozen=True):
    """One number: its label, value with unit, what is usual, and a small line."""

    label: str
    value: str
    unit: str = ""
    usual: str = ""
    line: Markup = Markup("")
    tone: str = ""


def past_figures(hour: Stats, day: Stats, queues: Sequence[QueueStatus]) -> list[Figure]:
    """Return the numbers of the last hour beside those of the day before."""
    submitted = amount(hour, day, lambda point: point.submitted)
    succeeded = amount(hour, day, lambda point: point.succeeded)
    died = amount(hour, day, lambda point: point.dead)
    wait = duration(hour, day, lambda point: point.wait_p95_ms)
    run = duration(hour, day, lambda point: point.run_p95_ms)
    ended = sum(succeeded.values) + sum(died.values)
    good = f"{share(sum(succeeded.values), ended)} of what ended" if ended else "nothing ended"
    return [
        _amount("Submitted", submitted, submitted.usual, "a"),
        _amount("Succeeded", succeeded, good, "a"),
        _amount("Died", died, died.usual, "b" if died.per_s else "", is_bad=died.is_more),
        _duration("Wait, p95", wait),
        _duration("Run, p95", run),
        waiting_figure(queues),
    ]


def live_figures(queues: Sequence[QueueStatus], slots: Slots) -> list[Figure]:
    """Return what can be told without a history: what is there now."""
    dead = sum(queue.dead for queue in queues)
    oldest = max((queue.oldest_ready_age_s for queue in queues), default=0.0)
    running = sum(queue.running for queue in queues)
    return [
        waiting_figure(queues),
        Figure("Oldest", length(oldest), usual="of the jobs that are ready"),
        Figure("Running", grouped(running), usual=f"of {counted(slots.slots, 'slot')}"),
        Figure("Slots busy", grouped(slots.percent), " %", f"on {counted(slots.workers, 'worker')}"),
        Figure("Scheduled", grouped(sum(queue.scheduled for queue in queues)), usual="for later, or for a retry"),
        Figure("Dead", grouped(dead), usual="wait for a decision" if dead else "", tone="bad" if dead else ""),
    ]


def waiting_figure(queues: Sequence[QueueStatus]) -> Figure:
    """Return how many jobs are ready, and how many are to come."""
    scheduled = sum(queue.scheduled for queue in queues)
    return Figure("Waiting", grouped(sum(map(ready, queues))), usual=f"and {grouped(scheduled)} scheduled")


def _amount(label: str, found: Amount, usual: str, line_tone: str, *, is_bad: bool = False) -> Figure:
    unit = found.pace.unit if found.per_s or found.usual_per_s else ""
    return Figure(label, found.told, unit, usual, _line(found.values, line_tone), "bad" if is_bad else "")


def _duration(label: str, found: Duration) -> Figure:
    tone = "warn" if found.is_longer else ""
    value, unit = split_unit(found.told)
    return Figure(label, value, unit, found.usual, _line(found.values, "w" if tone else ""), tone)


def split_unit(told: str) -> tuple[str, str]:
    """Return a length as its number and its unit, which is written smaller; one of two units stays whole."""
    number, space, unit = told.rpartition(" ")
    return (number, f" {unit}") if space and " " not in number else (told, "")


def _line(values: Sequence[float], tone: str) -> Markup:
    """Return a line with fewer points than pixels."""
    step = max(1, len(values) // _SPARK_STEPS)
    sums = [sum(values[begin : begin + step]) for begin in range(0, len(values) - step + 1, step)]
    return spark(sums, tone)
