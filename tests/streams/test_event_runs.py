"""An event says of each attempt which it is, how long it waited and ran, and why it failed."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from streams.seeds import ERROR, commit, events, fields_of, recover_all, seed, seed_running, take_one

from millstream_contracts import (
    Cancelled,
    Dead,
    Event,
    JobTransition,
    Outcome,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
)
from millstream_streams import Broker
from millstream_streams.store.specs import read_event


async def open_group(broker: Broker, queue: Queue) -> None:
    """Make the group that stores the history."""
    await broker.client.xgroup_create(broker.keys.of(queue).events, "history", "0", mkstream=True)


async def last_of(broker: Broker, queue: Queue) -> tuple[Event, JobTransition]:
    """Return the last event of a queue, and its job."""
    event = (await events(broker, queue))[-1]
    [job] = event.jobs
    return event, job


async def test_a_started_event_says_which_attempt_it_is_and_how_long_the_job_waited(
    broker: Broker, queue: Queue
) -> None:
    """A `started` event has the number of the attempt and the time for which the job was ready."""
    delivery = await seed_running(broker, queue)
    for attempt in (1, 2):
        event, job = await last_of(broker, queue)
        ready_ms = int((await fields_of(broker, queue, delivery.id))["ready_at"])
        assert (event.kind, job.attempt, job.waited_ms, job.ran_ms) == (
            "started", attempt, event.at_ms - ready_ms, None,
        )  # fmt: skip
        await commit(broker, delivery, RetryAt(0, ERROR))
        delivery = await take_one(broker, queue)


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(), RetryAt(0, ERROR), RetryAt(9_000, ERROR), Dead("attempts", ERROR), Snoozed(0), Cancelled("no")],
)
async def test_an_event_that_ends_an_attempt_says_how_long_it_ran(
    broker: Broker, queue: Queue, outcome: Outcome
) -> None:
    """Each commit's event has the number of the attempt and the time since its claim."""
    delivery = await seed_running(broker, queue)
    started_ms = int((await fields_of(broker, queue, delivery.id))["started_at"])
    await commit(broker, delivery, outcome)
    event, job = await last_of(broker, queue)
    assert (job.attempt, job.waited_ms, job.ran_ms) == (1, None, event.at_ms - started_ms)


async def test_a_delivery_that_comes_back_says_how_long_it_took(broker: Broker, queue: Queue) -> None:
    """The events of a hand-back and of a recovery have the time since the claim."""
    delivery = await seed_running(broker, queue)
    await broker.store.hand_back(queue, worker="w1", deliveries=[delivery])
    event, job = await last_of(broker, queue)
    assert (event.kind, job.attempt, job.ran_ms is not None) == ("handed_back", 1, True)
    await take_one(broker, queue)
    await recover_all(broker, queue)
    event, job = await last_of(broker, queue)
    assert (event.kind, job.attempt, job.ran_ms is not None) == ("recovered", 1, True)


async def test_what_begins_and_ends_no_attempt_carries_nothing_more(broker: Broker, queue: Queue) -> None:
    """Events of a submission or a cancellation of a waiting job are no larger than they must be."""
    [job_id] = await seed(broker, queue)
    await broker.store.cancel(queue, [job_id])
    rows = await broker.client.xrange(broker.keys.of(queue).events)
    assert [{b"runs", b"errors"} & fields.keys() for _, fields in rows] == [set(), set()]


@pytest.mark.parametrize("outcome", [RetryAt(0, ERROR), RetryAt(9_000, ERROR), Dead("attempts", ERROR)])
async def test_the_event_of_a_failed_attempt_has_its_error(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """The event of a failed attempt carries its error, because the hash keeps the last one alone."""
    delivery = await seed_running(broker, queue)
    await open_group(broker, queue)
    await commit(broker, delivery, outcome)
    assert (await last_of(broker, queue))[1].error == ERROR


async def test_each_job_of_an_event_has_its_own_error(broker: Broker, queue: Queue) -> None:
    """The errors of an event stand in the order of its jobs."""
    await open_group(broker, queue)
    for number in (1, 2):
        delivery = await seed_running(broker, queue)
        error = replace(ERROR, message=f"{number}", attempt=number)
        await commit(broker, delivery, RetryAt(0, error))
        assert (await last_of(broker, queue))[1].error == error
        await commit(broker, await take_one(broker, queue))


async def test_the_event_of_a_poisonous_job_has_its_error(broker: Broker, queue: Queue) -> None:
    """A job that a recovery buries has an error, though no worker could send one."""
    await seed_running(broker, queue)
    await open_group(broker, queue)
    await recover_all(broker, queue, max_crashes=1)
    event, job = await last_of(broker, queue)
    assert event.kind == "dead"
    assert job.error is not None
    assert (job.error.type, job.error.attempt) == ("crashed", 1)


async def test_errors_stay_out_of_events_that_no_group_reads(broker: Broker, queue: Queue) -> None:
    """Without a history an event stays small: no group would store the error."""
    await commit(broker, await seed_running(broker, queue), Dead("attempts", ERROR))
    assert (await last_of(broker, queue))[1].error is None


FIELDS = {b"kind": b"started", b"state": b"running", b"at": b"1", b"worker": b"w", b"detail": b""}
JOBS = msgspec.msgpack.encode(["x_1", 2, 1, "x_2", 2, 1])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {b"runs": b"\xc1"},
        {b"runs": msgspec.msgpack.encode([1, 2, 3])},
        {b"runs": msgspec.msgpack.encode([1, 2])},
        {b"errors": b"\xc1"},
        {b"errors": msgspec.msgpack.encode(ERROR)},
        {b"new field": b"of a newer release"},
    ],
    ids=repr,
)
def test_an_event_of_another_release_is_read_without_what_it_lacks(more: dict[bytes, Any]) -> None:
    """An event without runs and errors, or with unreadable ones, is read with its jobs all the same."""
    event = read_event(b"1-0", {**FIELDS, b"jobs": JOBS, **more})
    assert event.jobs == [JobTransition(job, 2, "running", 1) for job in ("x_1", "x_2")]


def test_the_form_that_older_releases_read_has_three_values_a_job() -> None:
    """Runs and errors travel in fields of their own: an older release requires three values a job."""
    runs, errors = msgspec.msgpack.encode([1, 5, 2, -1]), msgspec.msgpack.encode(ERROR) + b"\xc0"
    whole = {**FIELDS, b"jobs": JOBS, b"runs": runs, b"errors": errors}
    assert read_event(b"1-0", whole).jobs == [
        JobTransition("x_1", 2, "running", 1, "", 1, 5, None, ERROR),
        JobTransition("x_2", 2, "running", 1, "", 2),
    ]
    assert read_event(b"1-0", whole | {b"kind": b"retrying"}).jobs == [
        JobTransition("x_1", 2, "running", 1, "", 1, None, 5, ERROR),
        JobTransition("x_2", 2, "running", 1, "", 2),
    ]
