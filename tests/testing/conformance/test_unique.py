"""Unique keys are kept in the test kit as they are in Redis: each test runs on both."""

from datetime import timedelta
from typing import Any

import pytest
from testing.conformance.stages import Stage
from testing.conformance.trade import Order, echo, fails, invoice

from millstream import ConflictError, InvalidError, Unique
from millstream_contracts import JobState

KEY = Unique(key="7")


async def submitted(stage: Stage, unique: Unique | str, *job: Any, **options: Any) -> str:
    """Submit a unique job, by default one that waits for an hour. Returns: the id of the answer."""
    options.setdefault("delay", 3600)
    return (await stage.client.submit(*(job or (echo, Order(1))), unique=unique, **options)).id


async def state_of(stage: Stage, job_id: str) -> tuple[JobState, str | None]:
    """Return the state of a job, and the reason for it."""
    job = await stage.client.get(job_id)
    return job.state, job.reason


async def test_the_holder_is_returned_refused_or_replaced(stage: Stage) -> None:
    """A job whose key another one holds is answered with that, refused, or takes its place."""
    first = await submitted(stage, KEY)
    returned = await stage.client.submit(echo, Order(1), unique="7")
    assert (returned.id, returned.unique_conflict) == (first, True)
    with pytest.raises(ConflictError) as refused:
        await submitted(stage, Unique(key="7", on_conflict="reject"))
    assert (refused.value.problem.type, first in refused.value.problem.detail) == ("/problems/unique-conflict", True)
    second = await submitted(stage, Unique(key="7", on_conflict="replace"))
    assert await state_of(stage, first) == (JobState.CANCELLED, "replaced")
    await stage.client.cancel(second)
    assert await submitted(stage, KEY) not in {first, second}


async def test_a_batch_says_it_of_each(stage: Stage) -> None:
    """Of equal jobs in a batch the first is stored, and the others are refused for themselves."""
    receipt = await stage.client.submit_many(invoice, [Order(1), Order(1, "bob"), Order(2)])
    assert [item.status for item in receipt.items] == [202, 409, 202]


async def test_a_key_is_free_when_its_job_has_ended(stage: Stage) -> None:
    """A success frees the key of the scope `running`; the key shows with the job."""
    job = await stage.settled((await stage.client.submit(invoice, Order(3))).id)
    assert job.unique is not None
    assert (job.unique.key, job.unique.scope, job.unique.until) == ("3", "running", None)
    again = await stage.settled((await stage.client.submit(invoice, Order(3))).id)
    assert (again.state, again.id == job.id) == (JobState.SUCCEEDED, False)


async def test_a_window_returns_the_result_of_a_success_alone(stage: Stage) -> None:
    """A success is returned until its window ends; a dead job is not."""
    window = Unique(key="7", scope="window", window=timedelta(days=1))
    first = await submitted(stage, window, echo, Order(1), delay=0)
    job = await stage.settled(first)
    assert await submitted(stage, window, echo, Order(1), delay=0) == first
    assert job.unique is not None
    assert job.unique.until is not None
    dead = await submitted(stage, Unique(key="8", scope="window", window=60), fails, Order(9, "key"), delay=0)
    assert (await stage.settled(dead)).state is JobState.DEAD
    assert await submitted(stage, Unique(key="8", scope="window", window=60), fails, Order(9, "key")) != dead


async def test_a_redrive_takes_the_key_again(stage: Stage) -> None:
    """A dead job whose key another one holds stays dead, until that is free."""
    dead = await submitted(stage, KEY, fails, Order(9, "key"), delay=0)
    await stage.settled(dead)
    second = await submitted(stage, KEY, fails, Order(9, "key"))
    with pytest.raises(ConflictError) as refused:
        await stage.client.retry(dead)
    assert refused.value.problem.type == "/problems/unique-conflict"
    await stage.client.cancel(second)
    assert not (await stage.client.retry(dead)).state.is_terminal
    await stage.settled(dead)


async def test_a_payload_without_the_field_is_refused(stage: Stage) -> None:
    """A payload that makes no key is refused with the field."""
    with pytest.raises(InvalidError) as refused:
        await stage.client.submit("invoice", {"id": None})
    assert "/payload/id" in [one.pointer for one in refused.value.problem.errors]


async def test_wrong_options_are_refused_before_they_are_sent(stage: Stage) -> None:
    """What no submission can mean is a TypeError."""
    for wrong in (Unique("id"), Unique(key=""), Unique(key="7", scope="window"), 7):
        with pytest.raises(TypeError, match="unique"):
            await stage.client.submit(echo, Order(1), unique=wrong)
