"""A job of the `on_dead` type is submitted for each dead letter of a handler's type."""

from datetime import datetime
from typing import Any

import anyio
import msgspec
import pytest
from streams.seeds import fields_of, recover_all
from waiting import wait_until
from workers.floor import Floor, queue_of_id, queue_of_type

from millstream import App, Dead, DeadJob, DeadLetter, HandlerError, JobRef, Retry
from millstream_contracts import JobId, JobSpec, JobState, limits
from millstream_runtime import DutyResult
from millstream_streams import StoreUnavailableError
from millstream_workers.death_announcer import DeathAnnouncer

TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def shop(told: list[Any], **options: Any) -> App[None]:
    """Return an app with a handler that fails, and one that is told of its dead letters."""
    app = App("shop")

    @app.job("alarm", **options)
    async def alarm(letter: DeadJob) -> None:
        told.append(letter)

    @app.job("charge", retry=Retry(max_attempts=1), on_dead=alarm)
    async def charge(payload: Any) -> None:
        raise ValueError("no such card")

    return app


async def told_of(told: list[Any], count: int) -> None:
    """Wait until so many dead letters have been told of."""
    await wait_until(lambda: len(told) >= count, f"{count} dead letters are announced")


async def test_a_dead_job_is_told_of_with_what_it_was_submitted_with(floor: Floor) -> None:
    """The handler of `on_dead` gets the dead letter with its error, payload and tags, in the trace of the job."""
    told: list[DeadJob] = []
    await floor.hire(shop(told))
    job = await floor.run("charge", {"card": b"\x00\xff"}, tags={"customer": "ann"}, traceparent=TRACEPARENT)
    await told_of(told, 1)
    (letter,) = told
    assert (letter.id, letter.type, letter.reason, letter.attempts) == (job.id, "charge", "attempts", 1)
    assert (letter.payload, letter.tags) == ({"card": b"\x00\xff"}, {"customer": "ann"})
    assert letter.error is not None
    assert letter.error.message == "no such card"
    assert isinstance(letter.died_at, datetime)
    queue = queue_of_type("alarm")
    (alarm,) = await jobs_of(floor, "alarm")
    spec = msgspec.msgpack.decode((await fields_of(floor.broker, queue, alarm))["spec"], type=JobSpec)
    assert spec.tags == {"dead_job": job.id}
    assert spec.traceparent[:35] == TRACEPARENT[:35]


async def jobs_of(floor: Floor, job_type: str) -> list[JobId]:
    """Return the ids of all jobs of a type that Redis has."""
    prefix = floor.broker.keys.of(queue_of_type(job_type)).job_prefix
    return [JobId(key.decode().removeprefix(prefix)) async for key in floor.broker.client.scan_iter(f"{prefix}*")]


async def test_a_job_that_the_reaper_buries_is_told_of(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that crashed its workers too often is told of like one that used up its attempts."""
    monkeypatch.setattr(DeathAnnouncer, "interval_s", 0.05)
    told: list[DeadJob] = []
    hired = await floor.hire(shop(told))
    await floor.broker.store.announce(queue_of_type("charge"), limit=0)
    hired.worker.parts.fetcher.stop()
    await wait_until(lambda: hired.worker.parts.fetcher.has_ended, "no job is fetched")
    job_id = await floor.submit("charge", 1)
    await floor.broker.store.claim(queue_of_type("charge"), consumer="killed", nonce="n", limit=1)
    await recover_all(floor.broker, queue_of_type("charge"), max_crashes=1)
    assert (await floor.job(job_id)).reason == "crashed"

    async def is_announced() -> bool:
        return bool(await jobs_of(floor, "alarm"))

    await wait_until(is_announced, "the crash is announced")


async def test_each_death_is_told_of_once_however_often_it_is_looked_at(floor: Floor) -> None:
    """Several workers, and passes whose note was lost, make one job of each death; a second death makes another."""
    told: list[DeadJob] = []
    app = shop(told)
    workers = [await floor.hire(app) for _ in range(2)]
    job = await floor.run("charge", 1)
    await told_of(told, 1)
    queue = queue_of_type("charge")
    await floor.broker.client.hset(floor.broker.keys.of(queue).settings, "announced", "1-0")
    for hired in workers:
        await hired.worker.parts.announcer.run_once()
    assert len(await jobs_of(floor, "alarm")) == 1
    await floor.broker.store.redrive(queue, [job.id])
    await told_of(told, 2)
    assert [letter.id for letter in told] == [job.id, job.id]


async def test_a_letter_is_not_noted_before_its_job_is_stored(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that cannot store the job leaves the letter to the next pass."""
    told: list[DeadJob] = []
    hired = await floor.hire(shop(told))
    store = floor.hired[0].worker.parts.announcer._store
    enqueue, failed = store.enqueue, list[str]()

    async def fail_once(queue: Any, jobs: Any, **options: Any) -> Any:
        if queue.type == "alarm" and not failed:
            failed.append("alarm")
            raise StoreUnavailableError("away")
        return await enqueue(queue, jobs, **options)

    monkeypatch.setattr(store, "enqueue", fail_once)
    await floor.run("charge", 1)
    await told_of(told, 1)
    assert failed
    assert hired.is_running


async def test_jobs_that_were_dead_before_are_not_told_of(floor: Floor) -> None:
    """A handler that names an `on_dead` for the first time is not told of letters that lay there before."""
    told: list[DeadJob] = []
    plain = App("shop")

    @plain.job("charge", retry=Retry(max_attempts=1))
    async def charge(payload: Any) -> None:
        raise ValueError

    old = await floor.hire(plain)
    before = await floor.run("charge", 1)
    old.orders.stop.set()
    await wait_until(old.is_gone.is_set, "the older release has left")
    await floor.hire(shop(told))
    after = await floor.run("charge", 2)
    await told_of(told, 1)
    assert [letter.id for letter in told] == [after.id]
    assert (await floor.job(before.id)).state is JobState.DEAD


async def test_a_death_before_the_first_pass_is_told_of(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that dies before a new worker has looked for deaths at all is told of when it does."""
    told: list[DeadJob] = []
    run_once, may_look = DeathAnnouncer.run_once, anyio.Event()

    async def look_late(announcer: DeathAnnouncer) -> DutyResult:
        await may_look.wait()
        return await run_once(announcer)

    monkeypatch.setattr(DeathAnnouncer, "run_once", look_late)
    await floor.hire(shop(told))
    job = await floor.run("charge", 1)
    may_look.set()
    await told_of(told, 1)
    assert told[0].id == job.id


async def test_a_payload_that_does_not_fit_is_left_out(floor: Floor) -> None:
    """A payload that is too large, or too deep, beside the letter is left out, and the job is told of all the same."""
    told: list[DeadJob] = []
    await floor.hire(shop(told))
    deep: Any = 1
    for _ in range(limits.MAX_PAYLOAD_DEPTH):
        deep = [deep]
    for payload in ("x" * (limits.MAX_PAYLOAD_BYTES - 100), deep):
        told.clear()
        job = await floor.run("charge", payload)
        await told_of(told, 1)
        assert (told[0].id, told[0].payload, told[0].reason) == (job.id, None, "attempts")


async def test_a_job_for_a_dead_letter_is_not_told_of_itself(floor: Floor) -> None:
    """A job that was submitted for a dead letter makes no further one when it dies: two types make no ring."""
    app, deaths = App("ring"), list[str]()

    @app.job("one", retry=Retry(max_attempts=1), on_dead=JobRef("two", takes=DeadJob))
    async def one(payload: Any) -> None:
        raise Dead("one")

    @app.job("two", retry=Retry(max_attempts=1), on_dead=JobRef("one", takes=DeadLetter))
    async def two(letter: DeadLetter) -> None:
        deaths.append(letter.type)
        raise Dead("two")

    hired = await floor.hire(app)
    await floor.run("one")
    (of_two,) = await settled_jobs_of(floor, "two")
    assert (await floor.settled(of_two)).state is JobState.DEAD
    assert await hired.worker.parts.announcer._announce(queue_of_id(of_two)) is False
    assert deaths == ["one"]
    assert len(await jobs_of(floor, "one")) == 1


async def settled_jobs_of(floor: Floor, job_type: str) -> list[JobId]:
    """Wait for the first jobs of a type, and return them."""
    found: list[JobId] = []

    async def is_there() -> bool:
        found[:] = await jobs_of(floor, job_type)
        return bool(found)

    await wait_until(is_there, f"there is a job of {job_type}")
    return found


async def test_a_letter_that_its_handler_refuses_holds_back_no_other(floor: Floor) -> None:
    """A dead letter that the registered schema of its `on_dead` refuses is logged, and the next one is announced."""
    told: list[DeadJob] = []

    class Strict(DeadJob, kw_only=True, frozen=True):
        """A letter with a small payload only."""

        payload: int = 0

    app = App("shop")

    @app.job("alarm")
    async def alarm(letter: Strict) -> None:
        told.append(letter)

    @app.job("charge", retry=Retry(max_attempts=1), on_dead=JobRef("alarm", takes=DeadJob))
    async def charge(payload: Any) -> None:
        raise ValueError

    await floor.hire(app)
    await floor.run("charge", "no number")
    await floor.run("charge", 5)
    await told_of(told, 1)
    assert [letter.payload for letter in told] == [5]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("alarm", "`on_dead` is a handler or a contract, not 'alarm'"),
        (JobRef("charge", takes=DeadJob), "`on_dead` is another type"),
        (JobRef("alarm", takes=int), "`on_dead` takes no dead letters: `alarm`: Expected `int`"),
    ],
)
def test_job_raises_when_its_on_dead_cannot_take_dead_letters(ref: Any, message: str) -> None:
    """An `on_dead` that is no reference, the type itself, or takes something else is refused at registration."""
    with pytest.raises(HandlerError, match=f"`charge`: {message}"):
        App("x").job("charge", on_dead=ref)(lambda: None)


def test_on_dead_is_a_part_of_the_policy() -> None:
    """The type of the jobs for dead letters is published with the policy."""
    app = shop([])
    assert app.handlers["charge"].registration().policy.on_dead == "alarm"
    assert app.handlers["alarm"].policy.on_dead is None
