"""Measures one peer and Millstream in turn, A B A B, and returns the figures round by round."""

import statistics
from argparse import Namespace
from collections.abc import Callable, Iterator

from client import ClientError
from crew import CrewError
from measurer import Bench, Drained
from msgspec import Struct

DRAINS = {
    "noop": ("no-op jobs/s, one worker process", "noop", 1),
    "two": ("no-op jobs/s, two", "noop", 2),
    "io": ("10 ms I/O jobs/s, 100 at a time", "io", 1),
    "flow": ("no-op jobs of flows/s, 1 after 100", "flow", 1),
    "limited": ("no-op jobs/s, a concurrency limit that none reaches", "limited", 1),
    "rated": ("no-op jobs/s, a rate that none reaches", "rated", 1),
    "held": ("10 ms I/O jobs/s, 10 at once over two processes", "held", 2),
}
"""By measurement: the figure, the job, the worker processes."""

MEASUREMENTS = (*DRAINS, "latency")


class Row(Struct, frozen=True):
    """One figure of both, by round."""

    figure: str
    theirs: list[float]
    ours: list[float]
    less_is_better: bool = False

    def ratio(self) -> float:
        """Return by which factor Millstream is better."""
        theirs, ours = statistics.median(self.theirs), statistics.median(self.ours)
        better, worse = (theirs, ours) if self.less_is_better else (ours, theirs)
        return better / worse if worse else float("inf")


class Turn(Struct, frozen=True):
    """The figures of one system in one round, without those that it cannot be measured for."""

    drains: dict[str, Drained]
    latencies_ms: list[float]


def contest(theirs: Bench, ours: Bench, options: Namespace, say: Callable[[str], None]) -> list[Row]:
    """Measure a peer and Millstream in turn, and return the figures that both have in every round."""
    turns: tuple[list[Turn], list[Turn]] = ([], [])
    for number in range(options.rounds):
        for bench, kept in zip((theirs, ours), turns, strict=True):
            say(f"round {number + 1} of {options.rounds}: {bench.system.name}")
            kept.append(_turn(bench, options, say))
    return list(_rows(*turns))


def _turn(bench: Bench, options: Namespace, say: Callable[[str], None]) -> Turn:
    turn = Turn({}, [])
    for name in options.measure:
        if not bench.system.has(name):
            continue
        try:
            if name == "latency":
                turn.latencies_ms.extend(bench.latencies_ms(options.samples))
            else:
                _, job, processes = DRAINS[name]
                turn.drains[name] = bench.drain(job, options.jobs, processes)
        except (CrewError, ClientError) as error:
            say(f"{bench.system.name}, {name}: NOT MEASURED: {error}")
    return turn


def _rows(theirs: list[Turn], ours: list[Turn]) -> Iterator[Row]:
    both = (*theirs, *ours)
    measured = tuple(name for name in DRAINS if all(name in turn.drains for turn in both))
    for name in measured:
        yield _row(DRAINS[name][0], theirs, ours, lambda drained: drained.jobs_per_s, (name,))
    if measured:
        yield _row("bulk enqueue, jobs/s", theirs, ours, lambda drained: drained.enqueued_per_s, measured)
        for label, field in (
            ("worker CPU, us/job", "worker_us"),
            ("Redis CPU while working, us/job", "redis_us"),
            ("client CPU while enqueuing, us/job", "enqueue_client_us"),
            ("Redis CPU while enqueuing, us/job", "enqueue_redis_us"),
        ):
            first = measured[:1]
            yield _row(label, theirs, ours, lambda drained, field=field: getattr(drained, field), first, less=True)
    if all(turn.latencies_ms for turn in both):
        for label, cut in (("submit > handler p50, ms", 49), ("submit > handler p99, ms", 98)):
            yield Row(label, *[[_cut(turn, cut) for turn in turns] for turns in (theirs, ours)], less_is_better=True)


def _row(
    figure: str,
    theirs: list[Turn],
    ours: list[Turn],
    value: Callable[[Drained], float],
    drains: tuple[str, ...],
    *,
    less: bool = False,
) -> Row:
    both = [[value(turn.drains[name]) for turn in turns for name in drains] for turns in (theirs, ours)]
    return Row(figure, *both, less_is_better=less)


def _cut(turn: Turn, cut: int) -> float:
    return statistics.quantiles(turn.latencies_ms, n=100, method="inclusive")[cut]
