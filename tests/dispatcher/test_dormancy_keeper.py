"""Queues rest in which nothing is left to do, and no job is forgotten in one that does."""

import pytest
from streams.seeds import seed

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_dispatcher import dormancy_keeper
from millstream_dispatcher.dormancy_keeper import DormancyKeeper, QuietQueues
from millstream_streams import Broker
from millstream_telemetry import DispatcherMetrics, MetricRegistry

QUEUES = [Queue(DEFAULT_TENANT, JobType(f"type-{number}")) for number in range(6)]
STATES = ("active", "dormant")


class Dispatcher:
    """The two duties that let queues rest, of a dispatcher for which nothing has to be quiet for long."""

    def __init__(self, broker: Broker, *, awake_at_least: int = 2) -> None:
        self._broker = broker
        self.quiet = QuietQueues()
        self.registry = MetricRegistry()
        metrics = DispatcherMetrics(self.registry)
        self.keeper = DormancyKeeper(
            broker, self.quiet, metrics, interval_s=5.0, awake_at_least=awake_at_least, quiet_s=0.0
        )

    async def look(self) -> dormancy_keeper.Dormancy:
        """Measure the queues, and let those rest that may."""
        for queue in await self._broker.registry.queues():
            self.quiet.note(queue, await self._broker.store.measure(queue))
        return await self.keeper.run_once()


async def test_queues_rest_down_to_those_that_are_looked_at_anyway(broker: Broker):
    """Those without work rest, some stay, and one with a job is not among those that rest."""
    await broker.registry.add_queues(QUEUES)
    await seed(broker, QUEUES[0])
    one = Dispatcher(broker)
    await one.look()
    left = await broker.registry.queues()
    assert len(left) == 2
    assert QUEUES[0] in left
    assert await broker.registry.queues(with_dormant=True) == QUEUES
    shown = {state: one.registry.get_sample_value("millstream_queues", {"state": state}) for state in STATES}
    assert shown == {"active": 2.0, "dormant": 4.0}


async def test_few_queues_never_rest(broker: Broker):
    """Where there are no more queues than are looked at anyway, none rests."""
    await broker.registry.add_queues(QUEUES)
    assert (await Dispatcher(broker, awake_at_least=6).look()).rested == 0
    assert await broker.registry.queues() == QUEUES


async def test_a_queue_with_a_new_job_rests_no_more(broker: Broker):
    """A queue is looked at again as soon as it is registered for a job, and is dormant no longer."""
    await broker.registry.add_queues(QUEUES)
    await Dispatcher(broker, awake_at_least=0).look()
    assert await broker.registry.queues() == []
    await broker.registry.add_queues([QUEUES[3]])
    await seed(broker, QUEUES[3])
    assert await broker.registry.queues() == [QUEUES[3]]
    assert QUEUES[3] not in await broker.registry.dormant_queues()


async def test_a_job_beside_the_registry_wakes_its_queue(broker: Broker):
    """A job of a process that took its queue for registered is found, though the queue rests by now."""
    await broker.registry.add_queues(QUEUES)
    one = Dispatcher(broker, awake_at_least=0)
    await one.look()
    await seed(broker, QUEUES[3])
    # Another dispatcher: this one has looked at all of them just now.
    assert (await Dispatcher(broker, awake_at_least=0).look()).woken == 1
    assert await broker.registry.queues() == [QUEUES[3]]


async def test_a_job_in_a_queue_that_rests_for_long_is_found_by_the_survey(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
):
    """A queue that rests for long is looked at now and then."""
    await broker.registry.add_queues(QUEUES)
    await Dispatcher(broker, awake_at_least=0).look()
    await seed(broker, QUEUES[3])
    monkeypatch.setattr(dormancy_keeper, "WATCHED_S", -1.0)
    monkeypatch.setattr(dormancy_keeper, "WATCH_EVERY_S", 1e-9)
    monkeypatch.setattr(dormancy_keeper, "SURVEY_S", 3e-9)
    one = Dispatcher(broker, awake_at_least=0)
    assert [(await one.look()).woken for _ in range(3)] == [0, 1, 0]


async def test_a_queue_that_an_earlier_release_registers_is_dormant_no_longer(broker: Broker):
    """An earlier release registers a queue and knows of no dormant ones: it is taken from these."""
    await broker.registry.add_queues(QUEUES)
    await Dispatcher(broker, awake_at_least=0).look()
    await broker.client.sadd(broker.keys.queues, QUEUES[3].tag)
    await Dispatcher(broker, awake_at_least=6).look()
    assert QUEUES[3] not in await broker.registry.dormant_queues()
    assert await broker.registry.queues() == [QUEUES[3]]


async def test_a_queue_that_cannot_be_read_keeps_no_other_from_rest(broker: Broker):
    """A queue whose events something else has overwritten stays active, and the others rest."""
    await broker.registry.add_queues(QUEUES)
    events = broker.keys.of(QUEUES[3]).events
    one = Dispatcher(broker, awake_at_least=0)
    for queue in QUEUES:
        one.quiet.note(queue, await broker.store.measure(queue))
    await broker.client.set(events, "garbage")
    await one.keeper.run_once()
    assert await broker.registry.queues() == [QUEUES[3]]
    await broker.client.delete(events)
