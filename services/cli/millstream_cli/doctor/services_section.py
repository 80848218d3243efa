"""What the doctor says of the services: which live, of which releases, and whether their settings agree."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from millstream_cli.doctor.report import Section
from millstream_contracts import ServiceInfo
from millstream_runtime import ALIVE_FOR
from millstream_streams import Broker, MissingRightError

NEEDED = {
    "ingest": "no job can be submitted",
    "workers": "no job runs",
    "dispatcher": "delayed jobs and retries wait, and late jobs do not expire",
    "reaper": "the jobs of killed workers wait",
}
"""By service, what does not happen while no process of it lives."""

CLOCK_TOLERANCE_S = 2.0
"""How far a heartbeat may be from its own time: a slow network explains less."""


async def examine_services(broker: Broker, *, must_live: bool) -> Section:
    """Compare the heartbeats of all processes. A service without any is an objection where every one `must_live`.

    Raises: StoreUnavailableError.
    """
    try:
        known = await broker.registry.services()
    except MissingRightError as error:
        return not_seen(str(error), must_live=must_live)
    return section_of(living(known, await broker.now()), must_live=must_live)


def not_seen(why: str, *, must_live: bool) -> Section:
    """Return what is to be said where heartbeats cannot be read."""
    lines = [f"the heartbeats of the services cannot be read: {why}"]
    objections, advice = (lines, []) if must_live else ([], lines)
    return Section(name="services", headline="services: not seen", objections=objections, advice=advice)


def living(known: Iterable[ServiceInfo], now: datetime) -> list[ServiceInfo]:
    """Return the processes that have sent a heartbeat lately."""
    return [one for one in known if now - one.seen_at <= ALIVE_FOR]


def section_of(found: Sequence[ServiceInfo], *, must_live: bool) -> Section:
    """Return what is to be said of these processes."""
    counts = {service: sum(one.service == service for one in found) for service in NEEDED}
    absent = [f"no {service} lives: {loss}" for service, loss in NEEDED.items() if not counts[service]]
    return Section(
        name="services",
        headline="services: " + ", ".join(f"{count} {service}" for service, count in counts.items()),
        objections=[*_disagreements(found), *(absent if must_live else ())],
        advice=[*(() if must_live else absent), *_releases(found), *_clocks(found)],
    )


def _disagreements(found: Iterable[ServiceInfo]) -> list[str]:
    values: defaultdict[str, defaultdict[object, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        for variable, value in one.settings.items():
            values[variable][value].append(f"{one.service} {one.name}")
    return [
        f"{variable} must be the same everywhere: {_who_has_which(by_value)}"
        for variable, by_value in values.items()
        if len(by_value) > 1
    ]


def _releases(found: Iterable[ServiceInfo]) -> list[str]:
    by_release: defaultdict[object, list[str]] = defaultdict(list)
    for one in found:
        by_release[one.version].append(f"{one.service} {one.name}")
    return [f"two releases run side by side: {_who_has_which(by_release)}"] if len(by_release) > 1 else []


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


def _who_has_which(by_value: defaultdict[object, list[str]]) -> str:
    """Return each value with the processes that have it; what most have is said by their number."""
    most = max(by_value, key=lambda value: len(by_value[value]))
    parts = [
        f"{value} at {f'{len(names)} processes' if value == most and len(names) > 1 else ', '.join(names)}"
        for value, names in by_value.items()
    ]
    return "; ".join(parts)
