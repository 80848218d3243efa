"""The registry lists the processes of all services by their heartbeats."""

from datetime import UTC, datetime, timedelta

import pytest

from millstream_contracts import ServiceInfo
from millstream_streams import Broker

MINUTE = timedelta(minutes=1)


def process(name: str, clock: datetime | None = None) -> ServiceInfo:
    """Return a process as its heartbeat describes it, with its own clock."""
    at = clock or datetime.now(UTC)
    settings: dict[str, float | str] = {"MILLSTREAM_LEASE_S": 30.0}
    return ServiceInfo(
        name=name, service="reaper", version="1.2.3", settings=settings, started_at=at, sent_at=at, seen_at=at
    )


async def test_a_process_is_listed_from_its_first_heartbeat_until_it_leaves(broker: Broker) -> None:
    """A process is listed from its first heartbeat until it leaves, and a second leave changes nothing."""
    await broker.registry.note_service(process("h:2:b"))
    await broker.registry.note_service(process("h:1:a"))
    await broker.registry.note_service(process("h:2:b"))
    assert [one.name for one in await broker.registry.services()] == ["h:1:a", "h:2:b"]
    await broker.registry.leave_service("h:1:a")
    await broker.registry.leave_service("h:1:a")
    (left,) = await broker.registry.services()
    assert (left.name, left.settings) == ("h:2:b", {"MILLSTREAM_LEASE_S": 30.0})


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(), timedelta(hours=2)])
async def test_redis_notes_when_a_heartbeat_came(broker: Broker, skew: timedelta) -> None:
    """The time of a heartbeat is that of Redis, and shows by how much the clock of a process is wrong."""
    await broker.registry.note_service(process("skewed", datetime.now(UTC) + skew))
    assert await broker.registry.forget_services(MINUTE) == []
    (shown,) = await broker.registry.services()
    assert abs(shown.seen_at - await broker.now()) < MINUTE
    assert abs(shown.sent_at - shown.seen_at - skew) < MINUTE


async def test_a_silent_process_is_forgotten_and_no_other(broker: Broker) -> None:
    """A silent process is taken off the list, and no other."""
    services = broker.keys.services
    await broker.registry.note_service(process("killed"))
    await broker.registry.note_service(process("alive"))
    at_ms, _, blob = (await broker.client.hget(services, "killed")).partition(b" ")
    await broker.client.hset(services, "killed", b"%d %s" % (int(at_ms) - 60_500, blob))
    assert await broker.registry.forget_services(MINUTE) == ["killed"]
    assert await broker.registry.forget_services(MINUTE) == []
    assert [one.name for one in await broker.registry.services()] == ["alive"]


@pytest.mark.parametrize("garbage", [b"\xff", b"", b"12 \x80"])
async def test_an_entry_that_cannot_be_read_hides_no_other_and_is_forgotten(broker: Broker, garbage: bytes) -> None:
    """An entry that cannot be read hides no other, and is removed."""
    await broker.registry.note_service(process("h:1:a"))
    await broker.client.hset(broker.keys.services, "strange", garbage)
    assert [one.name for one in await broker.registry.services()] == ["h:1:a"]
    assert await broker.registry.forget_services(MINUTE) == ["strange"]
