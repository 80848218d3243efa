"""The duty `resync` repairs the history after events were lost: jobs are read again, and missing ends are noted."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from history_databases import execute, query
from streams.seeds import ERROR, commit, seed, seed_dead, seed_running, take, take_one
from waiting import wait_until

from millstream_contracts import JobId, Queue, RetryAt
from millstream_dispatcher.assembly import open_projector
from millstream_dispatcher.projector import GROUP
from millstream_dispatcher.resyncer import Resyncer
from millstream_history import History, HistoryUnavailableError, open_history
from millstream_streams import Broker
from millstream_telemetry import HistoryMetrics, MetricRegistry

STATES = "SELECT id, state, outcome, version FROM jobs ORDER BY id"
KINDS = "SELECT version, kind FROM transitions ORDER BY job_id, version"


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield an open history database."""
    async with open_history(history_url) as opened:
        yield opened


async def project(broker: Broker, history: History, moves: int) -> None:
    """Store the events of all queues, of which there are as many transitions."""
    stored = 0
    async with open_projector(history, broker, HistoryMetrics(MetricRegistry())) as projector:

        async def are_stored() -> bool:
            nonlocal stored
            stored += (await projector.run_once()).stored
            return stored >= moves

        await wait_until(are_stored, f"{moves} moves are stored")


async def lose_events(broker: Broker, queue: Queue) -> None:
    """Have all events of a queue trimmed before the history has read them, as a reaper does at the cap."""
    events = broker.keys.of(queue).events
    if not await broker.client.xinfo_groups(events):
        await broker.client.xgroup_create(events, GROUP, "0")
    # Whole nodes are trimmed: what is to be lost has to fill one.
    for _ in range(250):
        await broker.client.xadd(events, {"kind": "padding"})
    _, lost = await broker.store.trim_events(queue, keep=0, cap=1)
    assert lost > 0
    await broker.client.xtrim(events, maxlen=0, approximate=False)


async def resync(broker: Broker, history: History, metrics: MetricRegistry | None = None) -> int:
    """Run passes until there is no more to do; return how many gaps were closed."""
    duty = Resyncer(history, broker, HistoryMetrics(metrics or MetricRegistry()))
    closed = 0
    while (result := await duty.run_once()).more:
        closed += result.closed
    return closed + result.closed


async def test_jobs_whose_events_were_lost_are_read_again(
    broker: Broker, queues: list[Queue], history: History, history_url: str
) -> None:
    """Jobs of every state are in the history after a gap, each with the transition that led to its state."""
    waiting = (await seed(broker, queues[0], delay_ms=3_600_000))[0]
    done = await seed_running(broker, queues[0])
    await commit(broker, done)
    dead = await seed_dead(broker, queues[0])
    await lose_events(broker, queues[0])
    assert await resync(broker, history) == 1
    assert await query(history_url, STATES) == sorted(
        [(waiting, "scheduled", None, 1), (done.id, "succeeded", None, 3), (dead, "dead", "dead", 3)]
    )
    assert {kind for _, kind in await query(history_url, KINDS)} == {"resynced"}
    assert await broker.stored_jobs.gaps(queues) == {}
    assert await resync(broker, history) == 0


async def test_other_queues_are_left_alone(
    broker: Broker, queues: list[Queue], history: History, history_url: str
) -> None:
    """Only the queue that lost events is read again."""
    await seed(broker, queues[1])
    [job_id] = await seed(broker, queues[0])
    await lose_events(broker, queues[0])
    await resync(broker, history)
    assert [row[0] for row in await query(history_url, STATES)] == [job_id]
    await broker.client.delete(broker.keys.of(queues[1]).events)


async def forget(broker: Broker, queue: Queue, job_id: JobId) -> None:
    """Delete the hash of a job, as Redis does after its result_ttl."""
    await broker.client.delete(broker.keys.of(queue).job(job_id))


async def test_a_job_whose_end_was_lost_does_not_run_for_ever(
    broker: Broker, queues: list[Queue], history: History, history_url: str
) -> None:
    """A job that was running, and of which Redis knows nothing, ends as unknown; one that Redis has goes on."""
    lost, lives = await take(broker, queues[0], limit=2) if await seed(broker, queues[0], 2) else ()
    await project(broker, history, 4)
    await commit(broker, lost)
    await forget(broker, queues[0], lost.id)
    await lose_events(broker, queues[0])
    await resync(broker, history)
    found = await query(history_url, "SELECT id, state, outcome, reason FROM jobs")
    assert sorted(found) == sorted(
        [(lost.id, "running", "unknown", "its end was not recorded"), (lives.id, "running", None, None)]
    )


async def test_an_end_that_comes_late_replaces_the_unknown_one(
    broker: Broker, queues: list[Queue], history: History, history_url: str
) -> None:
    """An event behind the gap that was not stored yet still tells how the job ended."""
    done = await seed_running(broker, queues[0])
    await project(broker, history, 2)
    await lose_events(broker, queues[0])
    await commit(broker, done)
    await forget(broker, queues[0], done.id)
    await resync(broker, history)
    assert await query(history_url, "SELECT outcome FROM jobs") == [("unknown",)]
    await project(broker, history, 1)
    assert await query(history_url, STATES) == [(done.id, "succeeded", None, 3)]


async def test_a_true_transition_replaces_the_one_that_was_read_and_counts_once(
    broker: Broker, queues: list[Queue], history: History, history_url: str
) -> None:
    """A transition whose event comes after the job was read again is told as it was, and is counted once."""
    delivery = await seed_running(broker, queues[0])
    await lose_events(broker, queues[0])
    await commit(broker, delivery, RetryAt(0, ERROR))
    await resync(broker, history)
    assert await query(history_url, KINDS) == [(3, "resynced")]
    await project(broker, history, 1)
    assert await query(history_url, KINDS) == [(3, "retrying")]
    assert await query(history_url, "SELECT kind, n::int FROM stats_minutes") == [("retrying", 1)]
    await take_one(broker, queues[0])


async def test_a_gap_stays_in_the_statistics(
    broker: Broker, queues: list[Queue], history: History, metrics: MetricRegistry
) -> None:
    """A gap that is repaired is still shown, for the points of its time are too low."""
    await seed(broker, queues[0])
    await lose_events(broker, queues[0])
    await resync(broker, history, metrics)
    now = await broker.now()
    for job_type, number in ((queues[0].type, 1), (None, 1)):
        gaps = await history.gaps.between(queues[0].tenant, job_type, now - timedelta(hours=1), now)
        assert len(gaps) == number
        assert now - timedelta(hours=1) < gaps[0].begin <= gaps[0].end <= now
    assert await history.gaps.between(queues[0].tenant, None, now - timedelta(hours=2), now - timedelta(hours=1)) == []
    assert metrics.get_sample_value("millstream_history_gaps") == 0


async def test_a_walk_that_fails_begins_again(
    broker: Broker, queues: list[Queue], history: History, history_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure in the middle closes no gap, and the next pass begins a walk of all keys."""
    await seed(broker, queues[0], 3)
    await lose_events(broker, queues[0])
    duty = Resyncer(history, broker, HistoryMetrics(MetricRegistry()))
    stored = history.repairer.resync

    async def fail(*_: object, **_options: object) -> None:
        monkeypatch.setattr(history.repairer, "resync", stored)
        raise HistoryUnavailableError("away")

    monkeypatch.setattr(history.repairer, "resync", fail)
    with pytest.raises(HistoryUnavailableError):
        await duty.run_once()
    assert len(await broker.stored_jobs.gaps(queues)) == 1
    while (await duty.run_once()).more:
        pass
    assert len(await query(history_url, STATES)) == 3


async def test_a_gap_is_read_by_one_dispatcher_and_by_another_when_that_is_gone(
    broker: Broker, queues: list[Queue], history: History, history_url: str
) -> None:
    """A gap that one dispatcher has taken is left to it until it has been silent for TAKEN_FOR."""
    await seed(broker, queues[0])
    await lose_events(broker, queues[0])
    first = Resyncer(history, broker, HistoryMetrics(MetricRegistry()))
    assert (await first.run_once()).more
    assert await resync(broker, history) == 0
    await execute(history_url, "UPDATE event_gaps SET taken_until = now() - interval '1 hour'")
    assert await resync(broker, history) == 1
