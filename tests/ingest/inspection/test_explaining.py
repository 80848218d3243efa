"""Why a job does not run is said with what would have it go on."""

from typing import Any

from ingest.inspection.test_demand import worker
from ingest.serving import Ingest, problem
from streams.seeds import ERROR, FAR_MS, commit, take, take_one

from millstream_contracts import Dead, KeyLimits, Queue, QueueLimits, RetryAt, Snoozed, Waiting, new_job_id
from millstream_streams import Broker


async def reasons(ingest: Ingest, job_id: str) -> list[tuple[str, str | None]]:
    """Return the codes of the reasons of a job, with the jobs that they name."""
    found: dict[str, Any] = await ingest.get(f"/v1/jobs/{job_id}/explain")
    assert found["id"] == job_id
    assert all(reason["detail"] for reason in found["reasons"])
    return [(reason["code"], reason.get("job")) for reason in found["reasons"]]


async def test_a_blocked_job_names_the_parents_that_hold_it(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A dead parent is first, because a person has to decide about it; one that has succeeded is not named."""
    done, dead, waits = [(await ingest.submit())["id"] for _ in range(3)]
    await commit(broker, await take_one(broker, queue))
    await commit(broker, await take_one(broker, queue), Dead("attempts", ERROR))
    child = await ingest.submit(after=[waits, done, dead])
    assert await reasons(ingest, child["id"]) == [("parent-dead", dead), ("parent", waits)]
    assert await reasons(ingest, dead) == [("dead", None)]
    assert await reasons(ingest, done) == [("ended", None)]


async def test_a_ready_job_names_what_keeps_it_from_workers(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """That no worker handles its type is one reason, a pause of its queue another; else it waits its turn."""
    job = (await ingest.submit())["id"]
    assert await reasons(ingest, job) == [("no-worker", None)]
    await broker.client.hset(broker.keys.of(queue).settings, "paused", "1")
    assert await reasons(ingest, job) == [("paused", None), ("no-worker", None)]
    await broker.client.hdel(broker.keys.of(queue).settings, "paused")
    await broker.registry.beat(worker("mail", "email.send"))
    assert await reasons(ingest, job) == [("others", None)]
    await take_one(broker, queue)
    assert await reasons(ingest, job) == [("running", None)]


async def test_a_job_that_a_limit_holds_back_says_which(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """Limits are named with how many jobs they hold back and how many run, and a pause with its reason."""
    await broker.registry.beat(worker("mail", "email.send"))
    await broker.settings.limit(queue, QueueLimits(concurrency=1, rate="100/m"))
    first, second = [(await ingest.submit())["id"] for _ in range(2)]
    await take_one(broker, queue)
    (reason,) = (await ingest.get(f"/v1/jobs/{second}/explain"))["reasons"]
    assert reason["code"] == "limited"
    assert "(1 at once, 100/m) hold back 1 of 1 ready jobs of its type, while 1 run" in reason["detail"]
    assert reason["detail"].startswith("1 of 1 jobs of its type are in flight; ")
    await broker.settings.pause(queue, reason="the provider is down")
    paused, _ = (await ingest.get(f"/v1/jobs/{second}/explain"))["reasons"]
    assert (paused["code"], "(the provider is down)" in paused["detail"]) == ("paused", True)
    assert await reasons(ingest, first) == [("running", None)]


async def test_a_job_says_what_its_key_waits_for(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A full key is named with the jobs that fill it, a spent rate with its time, and else the turn of the key."""
    await broker.registry.beat(worker("mail", "email.send"))

    async def told(job_id: str) -> dict[str, Any]:
        (reason,) = (await ingest.get(f"/v1/jobs/{job_id}/explain"))["reasons"]
        return reason

    await broker.settings.limit(queue, QueueLimits(per_key=KeyLimits(concurrency=1)))
    first, second = [(await ingest.submit(key="acme é"))["id"] for _ in range(2)]
    await take_one(broker, queue)
    assert f"1 of 1 jobs of its key `acme é` are in flight ({first});" in (await told(second))["detail"]
    await broker.settings.limit(queue, QueueLimits(per_key=KeyLimits(rate="1/h")))
    fourth = [(await ingest.submit(key="other"))["id"] for _ in range(2)][1]
    await take(broker, queue)
    spent = await told(fourth)
    assert "the rate of its key `other` is spent until then" in spent["detail"]
    assert spent["at"] > (await ingest.get(f"/v1/jobs/{fourth}"))["created_at"]
    await broker.settings.limit(queue, QueueLimits(fair=True))
    waits = [(await ingest.submit(key="last"))["id"] for _ in range(4)]
    assert "turn" in (await told(waits[3]))["detail"]
    assert "number 4" in (await told(waits[3]))["detail"]


async def test_a_job_that_a_handler_holds_back_says_until_when(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A job of a type that is held back names the job whose handler asked for it, and one of a key the key."""
    await broker.registry.beat(worker("mail", "email.send"))
    holder = (await ingest.submit())["id"]
    await commit(broker, await take_one(broker, queue), Snoozed(FAR_MS, "type"))
    waits = (await ingest.submit())["id"]
    assert await reasons(ingest, waits) == [("held", holder)]
    (reason,) = (await ingest.get(f"/v1/jobs/{waits}/explain"))["reasons"]
    assert reason["at"] == (await ingest.get("/v1/queues/email.send"))["held_until"]
    assert f"all jobs of `email.send` are held back until then: the handler of {holder} was told" in reason["detail"]
    await broker.settings.end_hold(queue)
    await take_one(broker, queue)
    await ingest.submit(key="acme")
    await commit(broker, await take_one(broker, queue), Snoozed(FAR_MS, "key"))
    waits = (await ingest.submit(key="acme"))["id"]
    (reason,) = (await ingest.get(f"/v1/jobs/{waits}/explain"))["reasons"]
    assert (reason["code"], "the jobs of its key `acme` are held back" in reason["detail"]) == ("held", True)


async def test_a_job_that_waits_for_a_time_says_when(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A delay and a retry have their times, and a durable handler the signal that it waits for."""
    later = await ingest.submit(delay_s=3600)
    found = await ingest.get(f"/v1/jobs/{later['id']}/explain")
    assert (found["reasons"][0]["code"], found["reasons"][0]["at"]) == ("time", later["run_at"])
    retried = (await ingest.submit())["id"]
    await commit(broker, await take_one(broker, queue), RetryAt(FAR_MS, ERROR))
    assert "attempt 1 has failed" in (await ingest.get(f"/v1/jobs/{retried}/explain"))["reasons"][0]["detail"]
    waits = (await ingest.submit())["id"]
    await commit(broker, await take_one(broker, queue), Waiting("approved", FAR_MS))
    assert await reasons(ingest, waits) == [("signal", None)]


async def test_what_is_not_there_is_not_explained(ingest: Ingest, queue: Queue) -> None:
    """An unknown job is 404."""
    problem(await ingest.http.get(f"/v1/jobs/{new_job_id(queue)}/explain"), 404, "job-not-found")
