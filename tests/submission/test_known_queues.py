"""A queue is registered before its first job, and again while it is in use."""

import msgspec
import pytest
from intakes import intake_of

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker, StoreUnavailableError
from millstream_submission import KnownQueues, SystemSubmitter
from millstream_submission.known_queues import REMEMBER_QUEUE_S
from millstream_telemetry import NO_TRACE, JobTracer


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def queues(broker: Broker, clock: Clock) -> KnownQueues:
    """Return the known queues of one process."""
    return KnownQueues(broker.registry, clock)


@pytest.fixture
def queue() -> Queue:
    """Return a queue."""
    return Queue(DEFAULT_TENANT, JobType("email.send"))


async def test_a_registry_that_was_lost_heals_within_a_minute(
    broker: Broker, queues: KnownQueues, clock: Clock, queue: Queue
) -> None:
    """A queue in use is registered again after a minute, and not before."""
    await queues.make_known([queue])
    await broker.client.delete(broker.keys.queues)
    clock.now = REMEMBER_QUEUE_S - 1
    await queues.make_known([queue])
    assert await broker.registry.queues() == []
    clock.now = REMEMBER_QUEUE_S
    await queues.make_known([queue])
    assert await broker.registry.queues() == [queue]


async def test_a_registration_that_failed_is_tried_again(
    broker: Broker, queues: KnownQueues, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue counts as known only once its registration succeeded."""

    async def fail(_: object) -> None:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(broker.registry, "add_queues", fail)
        with pytest.raises(StoreUnavailableError):
            await queues.make_known([queue])
    await queues.make_known([queue])
    assert await broker.registry.queues() == [queue]


async def test_queues_that_are_not_used_are_forgotten(queues: KnownQueues, clock: Clock, queue: Queue) -> None:
    """Queues that are not used are forgotten, so that invented types fill no memory."""
    await queues.make_known([queue])
    clock.now = 2 * REMEMBER_QUEUE_S
    await queues.make_known([Queue(DEFAULT_TENANT, JobType("other"))])
    assert set(queues._known_until) == {Queue(DEFAULT_TENANT, JobType("other"))}


async def test_a_queue_is_noted_before_a_job_with_a_callback_is_stored_in_it(
    broker: Broker, queues: KnownQueues, clock: Clock, queue: Queue
) -> None:
    """Dispatchers find the queues of jobs with callbacks, whichever service stores them, and a lost note heals."""
    submitter = SystemSubmitter(
        broker.store,
        queues,
        intake_of(broker),
        JobTracer(None),
        clock=broker.clock.now_s,
    )
    for number, noted in enumerate(([], [queue], [queue])):
        callback = {"callback": {"url": "https://a.example/"}} if noted else {}
        content = msgspec.msgpack.encode({"type": queue.type, "payload": number, **callback})
        await submitter.store([await submitter.build(DEFAULT_TENANT, content, bytes([number]), caller=NO_TRACE)])
        assert list(await broker.registry.callback_queues()) == noted
        await broker.client.delete(broker.keys.callbacks)
        clock.now += REMEMBER_QUEUE_S
