"""What the doctor says of Redis: whether jobs are safe on it and may be moved, how it fares, how far away it is."""

from millstream_cli.doctor.report import Section
from millstream_streams import ANY_SERVICE, NEEDS, Broker, ClockReading, StoreUnavailableError, Topology

CLOCK_TOLERANCE_MS = 1_000.0
"""What differs by less is no trouble to people who read times of two machines."""

SLOW_MS = 10.0
"""A round trip from which on each claim and each commit is noticeably late."""


async def examine_redis(broker: Broker, service: str | None) -> tuple[Topology, Section]:
    """Look at every server behind the address, and try what a service does, or what all have in common.

    Raises: UnsuitableRedisError; StoreUnavailableError.
    """
    # The Redis user of a service may lack the right to read the configuration.
    found = await broker.probe(thorough=service is None)
    lacking, extras = await _rights(broker, service, found)
    worst, (distance, lines) = found.worst, await _look_at_clock(broker, found)
    return found, Section(
        name="redis",
        headline=f"{worst.server} {worst.version_text} ({found.mode}): {_verdict(found, lacking)}{distance}",
        objections=[*found.objections(), *lacking, *found.dangers()],
        advice=[*found.advice(), *found.warnings(), *extras, *lines],
    )


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


def _verdict(found: Topology, lacking: list[str]) -> str:
    if found.objections():
        return "not safe"
    if lacking:
        return "jobs cannot be moved"
    return "in danger" if found.dangers() else "safe for jobs"


async def _look_at_clock(broker: Broker, found: Topology) -> tuple[str, list[str]]:
    """Return how far away Redis is, for the headline, and what is to be said of that and of its clock."""
    if not found.can_be_used:
        return "", []
    clock = await broker.read_clock()
    return f", {clock.round_trip_ms:.1f} ms away", _about(clock)


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
