"""The vitals of a server, its memory, disk and replicas, become objections and advice of `doctor`."""

from typing import Any

import pytest

from millstream_cli.embedded import EmbeddedRedis
from millstream_streams import Broker, open_broker
from millstream_streams.suitability.vitals import Vitals

WELL: dict[str, Any] = {
    "used_bytes": 100,
    "max_bytes": 1_000,
    "machine_bytes": 10_000,
    "evicted_keys": 0,
    "aof_writes_ok": True,
    "aof_rewrite_ok": True,
    "snapshot_ok": True,
    "appendfsync": "everysec",
    "min_replicas": 1,
    "online_replicas": 1,
    "link_to_primary_ok": None,
}
HIDDEN = {**dict.fromkeys(WELL), "online_replicas": 0}


def vitals(**changes: Any) -> Vitals:
    """Return the vitals of a healthy server, changed by these fields."""
    return Vitals(**{**WELL, **changes})


@pytest.mark.parametrize("found", [vitals(), Vitals(**HIDDEN)], ids=["well", "hidden"])
def test_nothing_is_said_of_a_server_that_fares_well_or_hides_how(found: Vitals) -> None:
    """A server that is healthy, or hides its vitals, gets neither an objection nor advice."""
    assert (found.objections(), found.advice()) == ([], [])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"used_bytes": 950}, "memory is at 95% of maxmemory"),
        ({"aof_writes_ok": False}, "aof_last_write_status is err"),
        ({"snapshot_ok": False}, "rdb_last_bgsave_status is err"),
        ({"min_replicas": 2}, "min-replicas-to-write is 2 and 1 are connected"),
        ({"link_to_primary_ok": False, "online_replicas": 0}, "master_link_status is down"),
    ],
)
def test_what_stops_jobs_now_is_an_objection(changes: dict[str, Any], says: str) -> None:
    """A state that stops jobs now is an objection, and no advice at the same time."""
    (objection,) = vitals(**changes).objections()
    assert objection.startswith(says)
    assert vitals(**changes).advice() == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"used_bytes": 800}, "memory is at 80% of maxmemory"),
        ({"used_bytes": 6_000, "max_bytes": 0}, "maxmemory is 0, and Redis takes 60%"),
        ({"evicted_keys": 1_234}, "1,234 keys have been evicted"),
        ({"aof_rewrite_ok": False}, "aof_last_bgrewrite_status is err"),
        ({"appendfsync": "no"}, "appendfsync is no"),
        ({"min_replicas": 0}, "min-replicas-to-write is 0"),
    ],
)
def test_what_may_cost_jobs_one_day_is_advice(changes: dict[str, Any], says: str) -> None:
    """A state that may cost jobs later is advice, and no objection."""
    (advice,) = vitals(**changes).advice()
    assert advice.startswith(says)
    assert vitals(**changes).objections() == []


def test_a_server_without_limit_and_without_replicas_is_told_nothing() -> None:
    """A small server without a limit and without replicas gets neither an objection nor advice."""
    found = vitals(used_bytes=100, max_bytes=0, min_replicas=0, online_replicas=0)
    assert (found.objections(), found.advice()) == ([], [])


async def test_every_server_shows_its_vitals(broker: Broker) -> None:
    """Every supported server shows its vitals, and settings that INFO lacks to a thorough probe alone."""
    found = await broker.probe()
    for server in found.servers:
        if server.found:
            seen = server.found.vitals
            assert seen is not None
            assert {seen.used_bytes, seen.max_bytes, seen.evicted_keys, seen.min_replicas, seen.snapshot_ok}.isdisjoint(
                {None}
            )
    assert found.dangers() == []
    quick = await broker.probe(thorough=False)
    seen_quickly = [server.found.vitals for server in quick.servers if server.found]
    assert all(vitals and vitals.used_bytes and vitals.min_replicas is None for vitals in seen_quickly)


async def test_memory_near_its_limit_is_seen_on_a_server(own_redis: EmbeddedRedis) -> None:
    """Memory near `maxmemory` is an objection of the doctor, and prevents no start."""
    async with open_broker(own_redis.url) as broker:
        used = (await broker.client.info("memory"))["used_memory"]
        await broker.client.config_set("maxmemory", round(used / 0.97))
        found = await broker.probe()
        (danger,) = found.dangers()
        assert danger.startswith("memory is at ")
        # A service that works jobs off has to be able to start on it.
        await broker.require_suitable()


async def test_the_clock_of_redis_on_this_machine_is_that_of_this_machine(broker: Broker) -> None:
    """A difference of the clocks that is below the round trip does not count."""
    reading = await broker.read_clock()
    assert reading.round_trip_ms > 0
    assert reading.differs_by_ms < 1_000
