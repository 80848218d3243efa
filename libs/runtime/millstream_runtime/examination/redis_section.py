"""What is to be said of Redis: whether jobs are safe on it and may be moved, how it fares, how far away it is."""

from msgspec import Struct

from millstream_runtime.examination.section import Section
from millstream_streams import (
    ANY_SERVICE,
    NEEDS,
    Broker,
    ClockReading,
    StoreUnavailableError,
    Topology,
    Vitals,
)
from millstream_streams.suitability.vitals import NEARLY_FULL

CLOCK_TOLERANCE_MS = 1_000.0
"""What differs by less is no trouble to people who read times of two machines."""

SLOW_MS = 10.0
"""A round trip from which on each claim and each commit is noticeably late."""


class ExaminedRedis(Struct, frozen=True):
    """What was found out about Redis."""

    topology: Topology
    clock: ClockReading | None
    """None where a client cannot begin."""
    section: Section


async def examine_redis(broker: Broker, service: str | None, *, vitals: bool = True) -> ExaminedRedis:
    """Look at every server behind the address, and try what a service does, or what all have in common.

    `vitals` asks for the state of the servers too. For no service it is all that there is; the user of a service may
    lack the right to read the configuration, so for one it is what INFO has. Raises: UnsuitableRedisError;
    StoreUnavailableError.
    """
    found = await broker.probe(thorough=service is None)
    lacking, extras = await _rights(broker, service, found)
    clock = await broker.read_clock() if found.can_be_used else None
    worst, lines = found.worst, _about(clock) if clock else []
    distance = f", {clock.round_trip_ms:.1f} ms away" if clock else ""
    dangers, warnings = (found.dangers(), found.warnings()) if vitals else ([], [])
    section = Section(
        name="redis",
        headline=f"{worst.server} {worst.version_text} ({found.mode}): {_verdict(found, lacking, dangers)}{distance}",
        objections=[*found.objections(), *lacking, *dangers],
        advice=[*found.advice(), *warnings, *extras, *lines],
        passed=_passed(found, clock, has_rights=not lacking),
    )
    return ExaminedRedis(found, clock, section)


async def _rights(broker: Broker, service: str | None, found: Topology) -> tuple[list[str], list[str]]:
    """Return the rights that must be granted, and those that could be."""
    try:
        rights = await broker.try_rights(NEEDS[service] if service else ANY_SERVICE, found, thorough=True)
    except StoreUnavailableError as error:
        if not any(server.unseen for server in found.servers):
            raise
        # The report names the server that was not seen.
        return [f"what jobs need could not be tried: {error}"], []
    return [line for line in (rights.objection, rights.warning) if line], rights.advice


def _verdict(found: Topology, lacking: list[str], dangers: list[str]) -> str:
    if found.objections():
        return "not safe"
    if lacking:
        return "jobs cannot be moved"
    return "in danger" if dangers else "safe for jobs"


def _passed(found: Topology, clock: ClockReading | None, *, has_rights: bool) -> list[str]:
    """Return what is well, of the server that has most against it."""
    worst = found.worst
    lines = {
        f"{worst.server} {worst.version_text} is new enough": bool(worst.version) and not worst.is_too_old,
        "maxmemory-policy is noeviction": worst.maxmemory_policy == "noeviction",
        "the user of Redis has all rights that are needed": has_rights,
        "appendonly is on": bool(worst.appendonly),
        **_of_vitals(worst.vitals),
    }
    if clock:
        lines |= {
            "the clock of Redis agrees with that of this machine": clock.differs_by_ms <= CLOCK_TOLERANCE_MS,
            f"Redis is {clock.round_trip_ms:.1f} ms away": clock.round_trip_ms <= SLOW_MS,
        }
    return [line for line, is_so in lines.items() if is_so]


def _of_vitals(vitals: Vitals | None) -> dict[str, bool]:
    if vitals is None:
        return {}
    return {
        f"memory is at {vitals.fill:.0%} of maxmemory": bool(vitals.max_bytes) and vitals.fill < NEARLY_FULL,
        "the last write of the AOF went well": bool(vitals.aof_writes_ok),
        "the last snapshot went well": bool(vitals.snapshot_ok),
        "no key has been evicted since Redis started": vitals.evicted_keys == 0,
        f"replicas that are connected: {vitals.online_replicas}": vitals.online_replicas > 0,
    }


def _about(clock: ClockReading) -> list[str]:
    lines = []
    if clock.differs_by_ms > CLOCK_TOLERANCE_MS:
        way = "ahead of" if clock.ahead_ms > 0 else "behind"
        lines.append(
            f"the clock of Redis is {clock.differs_by_ms / 1000:.1f} s {way} that of this machine: all times of jobs "
            "are by that of Redis"
        )
    if clock.round_trip_ms > SLOW_MS:
        lines.append(f"Redis is {clock.round_trip_ms:.0f} ms away: run the services near it")
    return lines
