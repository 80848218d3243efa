"""What is to be said of the services: which live, of which releases, and whether their settings agree."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from millstream_contracts import ServiceInfo
from millstream_runtime.examination.duties_section import section_of_duties
from millstream_runtime.examination.section import Section
from millstream_streams import ALIVE_FOR, Broker, MissingRightError

NEEDED = {
    "ingest": "no job can be submitted",
    "workers": "no job runs",
    "dispatcher": "delayed jobs and retries wait, and late jobs do not expire",
    "reaper": "the jobs of killed workers wait",
}
"""By service, what does not happen while no process of it lives."""

CLOCK_TOLERANCE_S = 2.0
"""How far a heartbeat may be from its own time: a slow network explains less."""


async def examine_services(broker: Broker, *, must_live: bool) -> list[Section]:
    """Compare the heartbeats of all processes, and say how their duties fare.

    A service without any process is an objection where every one `must_live`.

    Raises: StoreUnavailableError.
    """
    try:
        known = await broker.registry.services()
    except MissingRightError as error:
        return [not_seen(str(error), must_live=must_live)]
    found = living(known, await broker.now())
    duties = section_of_duties(found)
    return [section_of(found, must_live=must_live), *([duties] if duties.objections else [])]


def not_seen(why: str, *, must_live: bool) -> Section:
    """Return what is to be said where heartbeats cannot be read."""
    lines = [f"the heartbeats of the services cannot be read: {why}"]
    objections, advice = (lines, []) if must_live else ([], lines)
    return Section(name="services", headline="services: not seen", objections=objections, advice=advice)


def living(known: Iterable[ServiceInfo], now: datetime) -> list[ServiceInfo]:
    """Return the processes that have sent a heartbeat lately."""
    return [one for one in known if now - one.seen_at <= ALIVE_FOR]


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def section_of(found: Sequence[ServiceInfo], *, must_live: bool) -> Section:
    """Return what is to be said of these processes."""
    counts = {service: sum(one.service == service for one in found) for service in NEEDED}
    disagreements, releases, clocks = _disagreements(found), _releases(found), _clocks(found)
    absent = [f"no process of {service} lives: {loss}" for service, loss in NEEDED.items() if not counts[service]]
    return Section(
        name="services",
        headline="services: " + ", ".join(f"{count} {service}" for service, count in counts.items()),
        objections=[*disagreements, *(absent if must_live else ())],
        advice=[*(() if must_live else absent), *releases, *clocks],
        passed=[
            *(f"{_processes(count)} of {service}" for service, count in counts.items() if count),
            *([] if disagreements or not found else ["all processes agree in their settings"]),
            *([] if releases or not found else [f"all processes are of release {found[0].version}"]),
            *([] if clocks or not found else ["the clocks of all processes agree with that of Redis"]),
        ],
    )


def _disagreements(found: Iterable[ServiceInfo]) -> list[str]:
    values: defaultdict[str, list[tuple[object, ServiceInfo]]] = defaultdict(list)
    for one in found:
        for variable, value in one.settings.items():
            values[variable].append((value, one))
    differing = ((variable, _who_has_which(pairs)) for variable, pairs in values.items())
    return [f"{variable} must be the same everywhere: {holders}" for variable, holders in differing if holders]


def _releases(found: Iterable[ServiceInfo]) -> list[str]:
    holders = _who_has_which((one.version, one) for one in found)
    return [f"two releases run side by side: {holders}"] if holders else []


def _clocks(found: Iterable[ServiceInfo]) -> list[str]:
    worst: dict[str, float] = {}
    for one in found:
        host = one.name.partition(":")[0]
        behind_s = (one.seen_at - one.sent_at).total_seconds()
        if abs(behind_s) > max(CLOCK_TOLERANCE_S, abs(worst.get(host, 0.0))):
            worst[host] = behind_s
    return [
        f"{host} has a clock {abs(behind_s):.0f} s {'behind' if behind_s > 0 else 'ahead of'} that of Redis: so "
        "are the times in its logs and traces"
        for host, behind_s in worst.items()
    ]


def _who_has_which(values: Iterable[tuple[object, ServiceInfo]]) -> str:
    """Return each value with its processes, those of the most common one by number; nothing where all values agree."""
    by_value: defaultdict[object, list[str]] = defaultdict(list)
    for value, one in values:
        by_value[value].append(f"{one.service} {one.name}")
    if len(by_value) < 2:
        return ""
    most = max(by_value, key=lambda value: len(by_value[value]))
    parts = [
        f"{value} at {f'{len(names)} processes' if value == most and len(names) > 1 else ', '.join(names)}"
        for value, names in by_value.items()
    ]
    return "; ".join(parts)
