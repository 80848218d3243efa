"""What ingest knows of its Redis between two probes: asked once a second, suitable or not, away or only silent."""

from collections.abc import AsyncIterator
from itertools import groupby

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from ingest.serving import problem, running_ingest
from msgspec.structs import replace
from structlog.testing import capture_logs
from waiting import wait_until

from millstream_ingest import redis_watch
from millstream_ingest.redis_watch import FIRST_ANSWER_WITHIN_S, RedisWatch
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, UnsuitableRedisError, open_broker

ANSWER_WITHIN_S = 1.0


@pytest.fixture
async def distant(link: FaultProxy, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker at the end of the link."""
    async with open_broker(link.url, namespace=namespace, patience_s=0.0) as opened:
        yield opened


@pytest.fixture
def watch(distant: Broker) -> RedisWatch:
    """Return a watch that has not asked yet."""
    return RedisWatch(distant, answer_within_s=ANSWER_WITHIN_S)


def is_redis_ready(watch: RedisWatch) -> bool:
    """Return what readiness says of Redis."""
    return {check.name: check.ok for check in watch.ready().checks}["redis"]


async def test_each_outage_is_logged_at_its_beginning_and_at_its_end(watch: RedisWatch, link: FaultProxy) -> None:
    """The second outage of a kind is as new as the first."""
    with capture_logs() as lines:
        for _ in range(2):
            link.refuse()
            for _ in range(3):
                await watch.look(ANSWER_WITHIN_S)
            link.heal()
            await watch.look(ANSWER_WITHIN_S)
    # A connection that is cut fails in another way than one that cannot be made, so there may be two lines.
    assert [event for event, _ in groupby(line["event"] for line in lines)] == ["duty failed", "duty works again"] * 2
    assert len(lines) <= 6


async def test_a_redis_that_refuses_is_away_and_one_that_is_silent_is_not(watch: RedisWatch, link: FaultProxy) -> None:
    """Submissions are refused unasked where Redis is away; one that is busy for a moment takes them yet."""
    await watch.look(ANSWER_WITHIN_S)
    assert (watch.is_away, is_redis_ready(watch)) == (False, True)
    link.swallow()
    await watch.look(0.05)
    assert (watch.is_away, is_redis_ready(watch)) == (False, False)
    link.cut()
    link.refuse()
    await watch.look(ANSWER_WITHIN_S)
    assert (watch.is_away, is_redis_ready(watch)) == (True, False)
    link.heal()
    await watch.look(ANSWER_WITHIN_S)
    assert (watch.is_away, is_redis_ready(watch)) == (False, True)


async def test_a_redis_that_was_away_at_first_is_looked_at_as_closely_as_any(
    watch: RedisWatch, link: FaultProxy, primary: Broker
) -> None:
    """The question that failed has found nothing out: the first that is answered refuses a Redis that loses jobs."""
    link.refuse()
    await watch.look(ANSWER_WITHIN_S)
    await primary.client.config_set("maxmemory-policy", "allkeys-lru")
    link.heal()
    with pytest.raises(UnsuitableRedisError, match="noeviction"):
        await watch.look(ANSWER_WITHIN_S)


async def test_a_redis_that_was_found_suitable_is_asked_by_one_script_and_for_the_time(
    watch: RedisWatch, link: FaultProxy
) -> None:
    """Every ingest asks every second, so it must cost Redis hardly anything."""
    for _ in range(2):
        await watch.look(ANSWER_WITHIN_S)
    before = link.traffic
    await watch.look(ANSWER_WITHIN_S)
    assert (link.traffic.since(before).commands, link.traffic.since(before).connections) == (2, 0)


async def test_the_first_answer_may_take_longer_than_the_others(
    distant: Broker, link: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it everything is connected; a Redis that is away at the start is given the same time again."""
    monkeypatch.setattr(redis_watch, "ASK_EVERY_S", 0.0)
    monkeypatch.setattr(redis_watch, "ASK_AWAY_EVERY_S", 0.0)
    given: list[float] = []

    class Noted(RedisWatch):
        async def look(self, within_s: float) -> None:
            given.append(within_s)
            if len(given) == 3:
                link.heal()
            await super().look(within_s)

    link.refuse()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Noted(distant, answer_within_s=ANSWER_WITHIN_S).run)
        await wait_until(lambda: len(given) >= 5, "it was asked often enough")
        tasks.cancel_scope.cancel()
    assert given[:5] == [FIRST_ANSWER_WITHIN_S] * 3 + [ANSWER_WITHIN_S] * 2


async def test_a_service_lives_while_its_event_loop_turns(distant: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Liveness is the loop's, and not that of Redis."""
    monkeypatch.setattr(redis_watch, "LOOP_WITHIN_S", 0.02)
    monkeypatch.setattr(redis_watch, "ASK_EVERY_S", 0.0)
    watch = RedisWatch(distant, answer_within_s=ANSWER_WITHIN_S)
    await wait_until(lambda: not watch.live().ok, "a loop that does not turn is noticed")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        await wait_until(lambda: watch.live().ok, "it turns")
        tasks.cancel_scope.cancel()


async def test_a_redis_that_is_away_is_not_asked_by_each_submission(
    link: FaultProxy, settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would make a connection for nothing, a thousand times a second."""
    async with running_ingest(replace(settings, redis_url=link.url)) as ingest:
        link.refuse()
        await wait_until(lambda: ingest.services.watch.is_away, "Redis is known to be away")
        monkeypatch.setattr(redis_watch, "ASK_AWAY_EVERY_S", 600.0)
        await ingest.services.watch.look(ANSWER_WITHIN_S)
        before = link.traffic
        for number in range(20):
            response = await ingest.http.post("/v1/jobs", json={"type": f"t{number}"})
            problem(response, 503, "store-unreachable")
        # Types are still looked for, once a second, and hints are listened for.
        assert link.traffic.since(before).connections < 20
