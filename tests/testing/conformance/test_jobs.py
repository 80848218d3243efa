"""Jobs end in the test kit as they end in real workers: each test runs on both."""

import re
from datetime import timedelta
from typing import Any

import pytest
from testing.conformance.stages import Stage
from testing.conformance.trade import (
    Order,
    dies,
    echo,
    echo_in_thread,
    fails,
    hang,
    hang_long,
    note,
    parent,
    ran,
    steered,
    wait_in_thread,
    waits,
    wrong,
)
from waiting import wait_until

from millstream import Client, ConflictError, InvalidError, JobFailedError
from millstream_contracts import Job, JobState, Priority

COUNTS = ("attempts", "deliveries", "crashes", "handbacks", "version")


def told(job: Job, *names: str) -> dict[str, Any]:
    """Return the state of a job, its counts that are not 0, and the named fields."""
    counts = {name: getattr(job, name) for name in COUNTS if getattr(job, name)}
    return {"state": job.state.value, **counts, **{name: getattr(job, name) for name in names}}


def failure(job: Job) -> tuple[str, str, int]:
    """Return what is stored of the error of a job. Its fingerprint is one, and its traceback has no frame of ours."""
    assert job.error is not None
    assert re.fullmatch("v2:[0-9a-f]{16}", job.error.fingerprint)
    assert "trade.py" in job.error.traceback
    assert "millstream_" not in job.error.traceback
    return job.error.type, job.error.message, job.error.attempt


async def run(stage: Stage, *job: Any, **options: Any) -> Job:
    """Submit a job and return it once it has settled."""
    return await stage.settled((await stage.client.submit(*job, **options)).id)


async def has_run(stage: Stage, *notes: str) -> None:
    """Wait until the jobs of `note` have run that are ready, and check which they were."""
    await stage.advance(0)
    await wait_until(lambda: len(ran) >= len(notes), f"{len(notes)} notes")
    assert sorted(ran) == sorted(notes)


async def test_success(stage: Stage) -> None:
    """A job that succeeds has its result, its progress and one attempt."""
    job = await run(stage, echo, Order(7), tags={"a": "b"}, priority="low")
    assert told(job, "result", "tags", "priority") == {
        "state": "succeeded",
        "attempts": 1,
        "deliveries": 1,
        "version": 3,
        "result": {"order_id": 7, "attempt": 1},
        "tags": {"a": "b"},
        "priority": Priority.LOW,
    }
    assert job.progress is not None
    assert (job.progress.percent, job.progress.note) == (40.0, "nearly")
    assert job.payload == {"id": 7, "customer": "ann"}


async def test_retries(stage: Stage) -> None:
    """A job that fails twice is tried three times, keeps its last error, and waits for its delays."""
    job = await run(stage, fails, Order(2))
    assert told(job, "result") == {
        "state": "succeeded",
        "attempts": 3,
        "deliveries": 3,
        "version": 9,
        "result": {"order_id": 2, "attempt": 3},
    }
    assert failure(job) == ("ConnectionError", "attempt 2 of ann", 2)


async def test_used_up_attempts(stage: Stage) -> None:
    """A job whose attempts are used up is dead."""
    job = await run(stage, fails, Order(99))
    assert told(job, "reason") == {
        "state": "dead",
        "attempts": 3,
        "deliveries": 3,
        "version": 9,
        "reason": "attempts",
    }
    assert failure(job) == ("ConnectionError", "attempt 3 of ann", 3)
    assert [letter.id for letter in (await stage.client.dead()).items] == [job.id]


async def test_max_attempts_of_a_submission(stage: Stage) -> None:
    """The options of a submission come before those of the type."""
    job = await run(stage, fails, Order(99), max_attempts=1)
    assert told(job, "reason") == {
        "state": "dead",
        "attempts": 1,
        "deliveries": 1,
        "version": 3,
        "reason": "attempts",
    }


@pytest.mark.parametrize(
    ("customer", "state", "reason"),
    [
        ("key", JobState.DEAD, "dead_on KeyError"),
        ("index", JobState.CANCELLED, "discarded: discard_on IndexError: out of range"),
    ],
)
async def test_rules_of_the_retry(stage: Stage, customer: str, state: JobState, reason: str) -> None:
    """Exceptions that `dead_on` and `discard_on` name end the job at once."""
    job = await run(stage, fails, Order(1, customer))
    assert (job.state, job.reason, job.deliveries) == (state, reason, 1)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("snooze", {"state": "succeeded", "attempts": 1, "deliveries": 2, "version": 6, "reason": None}),
        ("retry", {"state": "succeeded", "attempts": 2, "deliveries": 2, "version": 6, "reason": None}),
        ("discard", {"state": "cancelled", "deliveries": 1, "version": 3, "reason": "discarded: not wanted"}),
        ("dead", {"state": "dead", "attempts": 1, "deliveries": 1, "version": 3, "reason": "needs attention"}),
    ],
)
async def test_requests(stage: Stage, kind: str, wanted: dict[str, Any]) -> None:
    """Each outcome that a handler requests has its cost."""
    assert told(await run(stage, steered, kind), "reason") == wanted


async def test_a_result_that_does_not_fit(stage: Stage) -> None:
    """A result that the annotation does not allow buries the job, and names the field."""
    job = await run(stage, wrong, [1, "x"])
    assert (job.state, job.reason) == (JobState.DEAD, "invalid_result")
    assert job.error is not None
    assert job.error.message == "the result is no list[int]: Expected `int`, got `str` - at `$[1]`"


async def test_a_timeout(stage: Stage) -> None:
    """An attempt that reaches its timeout has failed, and says where it was."""
    job = await run(stage, hang)
    assert told(job, "reason") == {
        "state": "dead",
        "attempts": 1,
        "deliveries": 1,
        "version": 3,
        "reason": "attempts",
    }
    assert job.error is not None
    assert (job.error.type, job.error.message) == ("timeout", "the attempt took longer than 0.2 s")
    assert "await anyio.sleep_forever()" in job.error.traceback


async def test_dead_letters_have_their_job(stage: Stage) -> None:
    """The handler of `on_dead` gets the dead job with its payload."""
    job = await run(stage, dies, Order(5))
    assert job.state is JobState.DEAD
    await has_run(stage, "dies is dead of attempts: {'id': 5, 'customer': 'ann'}")


async def test_children(stage: Stage) -> None:
    """Children are stored with their options, and run; a delayed one waits."""
    job = await run(stage, parent, ["a", "b"])
    assert job.result == 2
    await has_run(stage, "a", "b", "first")
    assert ran[0] == "first"
    (late,) = (await stage.client.jobs(state="scheduled")).items
    assert late.run_at is not None
    assert timedelta(minutes=59) < late.run_at - late.created_at < timedelta(minutes=61)
    await stage.advance(3600)
    await has_run(stage, "a", "b", "first", "late")


async def test_children_of_threads(stage: Stage) -> None:
    """A handler in a thread submits children, which a client reads."""
    job = await run(stage, echo_in_thread, Order(3))
    child = await stage.settled(job.result)
    assert told(child, "payload") == {
        "state": "succeeded",
        "attempts": 1,
        "deliveries": 1,
        "version": 3,
        "payload": "child of 3",
    }
    assert ran == ["child of 3"]


async def test_children_with_keys_are_awaited(stage: Stage) -> None:
    """A parent that is tried again finds the children of its first attempt, reads their results and cancels them."""
    stage.slots = 3
    job = await run(stage, waits, Order(9))
    assert job.error is not None
    assert told(job, "result") == {
        "state": "succeeded",
        "attempts": 2,
        "deliveries": 2,
        "version": 6,
        "result": f"{job.error.message} 1 cancelled",
    }
    waiting = (await stage.client.jobs(type="note")).items
    assert [one.state for one in waiting] == [JobState.SCHEDULED] * 2


async def test_threads_wait_for_children(stage: Stage) -> None:
    """A handler in a thread waits for a child."""
    stage.slots = 3
    assert (await run(stage, wait_in_thread, Order(9))).result == 9


async def test_delays_and_priorities(stage: Stage) -> None:
    """Ready jobs run by priority, and first come first served; a delayed one runs when its time has come."""
    client = stage.client
    for text, priority in (("low", "low"), ("normal", None), ("high", "high"), ("second", "high")):
        await client.submit(note, text, priority=priority)  # type: ignore[call-overload]
    delayed = await client.submit(note, "delayed", delay=3600)
    await stage.advance(0)
    await wait_until(lambda: len(ran) == 4, "four jobs have run")
    assert ran == ["high", "second", "normal", "low"]
    assert (await delayed.status()).state is JobState.SCHEDULED
    assert (await stage.settled(delayed.id)).state is JobState.SUCCEEDED
    assert ran[-1] == "delayed"


async def test_expiry(stage: Stage) -> None:
    """A job that has not started in time expires, queued or scheduled."""
    client = stage.client
    jobs = [
        await client.submit("elsewhere", None, expires_in=60),
        await client.submit("elsewhere", None, delay=120, expires_in=600),
    ]
    await stage.advance(61)
    assert [(await job.status()).state for job in jobs] == [JobState.EXPIRED, JobState.SCHEDULED]
    await stage.advance(1000)
    assert told(await jobs[0].status()) == {"state": "expired", "version": 2}
    assert (await jobs[1].status()).state is JobState.EXPIRED


async def test_cancelling(stage: Stage) -> None:
    """A waiting job is cancelled at once, a running one is stopped, one that has ended refuses."""
    client = stage.client
    waiting = await client.submit(echo, Order(1), delay=60)
    assert told(await waiting.cancel(), "reason") == {"state": "cancelled", "version": 2, "reason": "cancelled"}
    running = await stage.start(hang_long, Order(1))
    await client.cancel(running)
    assert told(await stage.settled(running), "reason", "cancel_requested") == {
        "state": "cancelled",
        "deliveries": 1,
        "version": 4,
        "reason": "cancelled",
        "cancel_requested": True,
    }
    done = await run(stage, echo, Order(2))
    with pytest.raises(ConflictError, match="the job is succeeded: it cannot be cancelled"):
        await client.cancel(done.id)


async def test_redriving_and_discarding(stage: Stage) -> None:
    """A dead job runs again with fresh attempts, or is let go."""
    client = stage.client
    job = await run(stage, fails, Order(99))
    assert (await client.retry(job.id)).state in {JobState.QUEUED, JobState.RUNNING}
    again = await stage.settled(job.id)
    assert told(again, "reason") == {
        "state": "dead",
        "attempts": 3,
        "deliveries": 6,
        "version": 18,
        "reason": "attempts",
    }
    report = await client.discard(ids=[job.id, job.id[:-1] + ("1" if job.id.endswith("0") else "0")])
    assert [(item.status) for item in report.items] == [202, 404]
    assert told(await client.get(job.id), "reason")["reason"] == "discarded"
    with pytest.raises(ConflictError, match="retried, only a dead one"):
        await client.retry(job.id)


async def test_crashes(stage: Stage) -> None:
    """A crash costs no attempt."""
    assert told(await stage.crashed(echo, Order(1), 2), "result") == {
        "state": "succeeded",
        "attempts": 1,
        "deliveries": 3,
        "crashes": 2,
        "version": 7,
        "result": {"order_id": 1, "attempt": 1},
    }


async def test_a_crash_too_many(stage: Stage) -> None:
    """A job with three crashes is dead, and its error says so."""
    poison = await stage.crashed(echo, Order(2), 3)
    assert told(poison, "reason") == {
        "state": "dead",
        "deliveries": 3,
        "crashes": 3,
        "version": 7,
        "reason": "crashed",
    }
    assert poison.error is not None
    assert (poison.error.type, poison.error.fingerprint) == ("crashed", "crashed")
    assert poison.error.message == "the worker vanished 3 times while running this job"


async def test_a_duplicate_delivery(stage: Stage) -> None:
    """Of two deliveries of one job the later one counts."""
    assert told(await stage.delivered_twice(echo, Order(1)), "result") == {
        "state": "succeeded",
        "attempts": 1,
        "deliveries": 2,
        "crashes": 1,
        "version": 5,
        "result": {"order_id": 1, "attempt": 1},
    }


async def test_idempotency_keys(stage: Stage) -> None:
    """The same key and job is the same job; the same key and another job is refused; a batch has a key for each."""
    client = stage.client
    first = await client.submit(echo, Order(1), idempotency_key="k")
    assert (await client.submit(echo, Order(1), idempotency_key="k")).id == first.id
    assert (await client.submit(note, "x", idempotency_key="k")).id != first.id
    with pytest.raises(InvalidError) as refused:
        await client.submit(echo, Order(2), idempotency_key="k")
    assert refused.value.problem.type == "/problems/idempotency-key-reused"
    batches = [await client.submit_many(echo, [Order(1), Order(2)], idempotency_key="b") for _ in range(2)]
    assert [[item.id for item in batch.items] for batch in batches] == [[item.id for item in batches[0].items]] * 2
    assert [item.replayed for item in batches[1].items] == [True, True]


async def test_refusals(stage: Stage) -> None:
    """What the API refuses is refused in the same words, alone and in a batch."""

    async def refusal(*job: Any, **options: Any) -> tuple[int, str, str, list[str]]:
        with pytest.raises(InvalidError) as refused:
            await stage.client.submit(*job, **options)
        problem = refused.value.problem
        return problem.status, problem.type, problem.detail, [error.pointer for error in problem.errors]

    assert await refusal("echo", {"customer": 3}) == (
        422,
        "/problems/invalid-request",
        (
            "the payload does not fit the schema of `echo`: /payload/id: `id` is missing; "
            "/payload/customer: expected a string, got a number"
        ),
        ["/payload/id", "/payload/customer"],
    )
    assert (await refusal(echo, Order(1), delay=60, expires_in=30))[2:] == (
        "/expires_in_s: the job would expire before it may run",
        ["/expires_in_s"],
    )
    assert (await refusal(echo, Order(1), max_attempts=0))[3] == ["/max_attempts"]
    assert (await refusal("note", "x" * 300_000))[:2] == (413, "/problems/too-large")
    receipt = await stage.client.submit_many("echo", [{"id": 1}, {"id": "x"}])
    assert [(item.status, item.problem and item.problem.type) for item in receipt.items] == [
        (202, None),
        (422, "/problems/invalid-request"),
    ]


async def test_results_are_awaited(stage: Stage) -> None:
    """A client waits for results; a job that fails raises, and one that nothing runs is not settled in time."""
    client: Client = stage.client
    await stage.advance(0)
    assert (await (await client.submit(echo, Order(4))).result()).order_id == 4
    with pytest.raises(JobFailedError, match=r"is dead \(attempts\): ValueError: order 6"):
        await (await client.submit(dies, Order(6))).result()


async def test_a_job_waits_for_others(stage: Stage) -> None:
    """A job runs after those that it names, and is blocked until they have succeeded."""
    first = await stage.client.submit(note, "first", delay=60)
    second = await stage.client.submit(note, "second", after=[first], priority="high")
    blocked = await second.status()
    assert told(blocked, "after", "after_failure") == {
        "state": "blocked",
        "version": 1,
        "after": [first.id],
        "after_failure": "wait",
    }
    await stage.settled(first.id)
    job = await stage.settled(second.id)
    assert told(job) == {"state": "succeeded", "attempts": 1, "deliveries": 1, "version": 4}
    assert ran == ["first", "second"]


@pytest.mark.parametrize(("policy", "end"), [("cancel", ("cancelled", "parent_dead")), ("run", ("succeeded", None))])
async def test_the_death_of_a_job_is_told_to_those_that_wait(stage: Stage, policy: Any, end: Any) -> None:
    """What comes after a job that dies is cancelled, or runs, as it asked for."""
    first = await stage.client.submit(dies, Order(1), delay=60)
    second = await stage.client.submit(note, "second", after=first, after_failure=policy)
    await stage.settled(first.id)
    job = await stage.settled(second.id)
    assert (job.state.value, job.reason) == end


async def test_a_job_after_a_dead_one_waits_for_its_redrive(stage: Stage) -> None:
    """A job that waits for a dead one stays blocked, and is cancelled with what comes after it by a cancellation."""
    first = await run(stage, dies, Order(1))
    second = await stage.client.submit(note, "second", after=first)
    third = await stage.client.submit(note, "third", after=second)
    assert [(await one.status()).state for one in (second, third)] == [JobState.BLOCKED] * 2
    await second.cancel()
    job = await stage.settled(third.id)
    assert (job.state, job.reason, job.because_of) == (JobState.CANCELLED, "parent_cancelled", second.id)


async def test_a_job_that_is_not_known_cannot_be_waited_for(stage: Stage) -> None:
    """A submission that names a job that there is not is refused, unless it ignores such jobs."""
    with pytest.raises(InvalidError, match="after"):
        await stage.client.submit(note, "x", after="note_0001M8F0J0D5F8TT85935GNVHDXK")
    job = await run(stage, note, "x", after="note_0001M8F0J0D5F8TT85935GNVHDXK", after_unknown="ignore")
    assert told(job)["state"] == "succeeded"
