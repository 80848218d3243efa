"""A response may be held back until its job has settled."""

import anyio
import httpx2
import msgspec
import pytest
from ingest.serving import problem
from streams.seeds import ERROR, commit, take_one
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, Dead, Succeeded, queue_of
from millstream_ingest.inspection import waiting as settled_waiter
from millstream_streams import StoreUnavailableError

FOR_EVER_S = 100_000.0
"""Longer than a test may take."""


async def run_one(broker, queue, outcome=None):
    """Claim the next job and commit an outcome, as a worker does."""
    await wait_until(lambda: is_waiting(broker, queue), "a job is queued")
    return await commit(broker, await take_one(broker, queue), outcome)


async def is_waiting(broker, queue) -> bool:
    """Return whether a job is queued."""
    return sum((await broker.store.measure(queue)).queued) > 0


async def test_prefer_wait_answers_with_the_finished_job(ingest, broker, queue):
    """`Prefer: wait` answers with 200 and the result once the job has ended."""
    async with anyio.create_task_group() as tasks:
        result = Succeeded(msgspec.Raw(msgspec.msgpack.encode({"sent": True})))
        tasks.start_soon(run_one, broker, queue, result)
        response = await ingest.http.post("/v1/jobs", json={"type": "email.send"}, headers={"prefer": "wait=20"})
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=20"
    assert response.json()["state"] == "succeeded"
    assert response.json()["result"] == {"sent": True}


async def test_prefer_wait_answers_202_when_the_time_is_over(ingest):
    """A wait whose time is over answers with 202, and the job goes on."""
    response = await ingest.http.post("/v1/jobs", json={"type": "email.send"}, headers={"prefer": "wait=0.05"})
    assert response.status_code == 202
    assert response.json()["state"] == "queued"


async def test_wait_is_cut_to_its_limit_and_says_so(ingest, broker, queue):
    """A wait is cut to its limit, and `Preference-Applied` names the granted time."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_one, broker, queue)
        response = await ingest.http.post("/v1/jobs", json={"type": "email.send"}, headers={"prefer": "wait=100000"})
    assert response.headers["preference-applied"] == "wait=30"


async def test_get_with_wait_returns_when_the_job_has_ended(ingest, broker, queue):
    """GET with `wait` returns once an earlier job has ended."""
    job = await ingest.submit()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_one, broker, queue)
        answer = await ingest.get(f"/v1/jobs/{job['id']}", wait=20)
    assert answer["state"] == "succeeded"


async def test_dead_job_ends_the_waiting(ingest, broker, queue):
    """A dead job ends the wait, because it is settled."""
    job = await ingest.submit()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_one, broker, queue, Dead("no use", ERROR))
        answer = await ingest.get(f"/v1/jobs/{job['id']}", wait=20)
    assert answer["state"] == "dead"


async def test_job_that_has_ended_before_is_answered_at_once(ingest, broker, queue):
    """A wait for a job that has ended is answered at once."""
    job = await ingest.submit()
    await run_one(broker, queue)
    assert (await ingest.get(f"/v1/jobs/{job['id']}", wait=30))["state"] == "succeeded"


async def test_lost_hint_is_made_up_for_by_looking(ingest, broker, queue, monkeypatch):
    """A wait that hears no hint ends with its next look, long before its time is over."""
    monkeypatch.setattr(settled_waiter, "LOOK_EVERY_S", 0.02)
    job = await ingest.submit()
    deaf = settled_waiter.SettledWaiter(broker)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_one, broker, queue)
        found = await deaf.wait(queue, job["id"], FOR_EVER_S)
    assert found.state == "succeeded"


async def test_hint_ends_the_waiting_before_the_next_look(ingest, broker, queue, monkeypatch):
    """A hint ends a wait at once, however far its next look is."""
    monkeypatch.setattr(settled_waiter, "LOOK_EVERY_S", FOR_EVER_S)
    job = await ingest.submit()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_one, broker, queue)
        found = await ingest.services.waiter.wait(queue, job["id"], FOR_EVER_S)
    assert found.state == "succeeded"


async def test_client_that_goes_away_is_no_longer_waited_for(ingest):
    """A wait ends when its client disconnects."""
    job = await ingest.submit()
    with pytest.raises(httpx2.ReadTimeout):
        await ingest.http.get(f"/v1/jobs/{job['id']}", params={"wait": 30}, timeout=0.2)
    await wait_until(lambda: ingest.services.waiter.waiting == 0, "the waiter is gone")
    assert not ingest.services.waiter._events


async def test_waits_leave_nothing_behind_however_they_end(ingest, broker, queue, monkeypatch):
    """A wait keeps no memory, whether it is answered, timed out, cancelled or failed, or has looked several times."""
    waiter, views = ingest.services.waiter, ingest.services.broker.views
    ended, waiting = [await ingest.submit() for _ in range(2)]
    await commit(broker, await take_one(broker, queue))
    assert (await waiter.wait(queue, ended["id"], 30.0)).state == "succeeded"
    monkeypatch.setattr(settled_waiter, "LOOK_EVERY_S", 0.01)
    for is_watched in (False, True):
        assert (await waiter.wait(queue, waiting["id"], 0.05, is_watched=is_watched)).state == "queued"
    assert await waiter.wait(queue, "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA", 1.0) is None
    with anyio.move_on_after(0.05):
        await waiter.wait(queue, waiting["id"], 30.0)
    with monkeypatch.context() as patch:
        patch.setattr(views, "is_settled", _unavailable)
        with pytest.raises(StoreUnavailableError):
            await waiter.wait(queue, waiting["id"], 30.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(waiter.wait, queue, waiting["id"], 30.0)
        await wait_until(lambda: waiter.waiting == 3, "three wait")
        await commit(broker, await take_one(broker, queue))
    later = await ingest.submit()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiter.wait, queue, later["id"], 0.3)
        await wait_until(lambda: waiter.waiting == 1, "one waits")
        waiter._wake(later["id"])
    assert waiter.waiting == 0
    assert waiter._events == {}


async def _unavailable(*_) -> bool:
    raise StoreUnavailableError("away")


async def test_wait_above_the_number_of_waiters_is_answered_at_once(ingest, monkeypatch):
    """A wait beyond the bound on waits is answered at once with the present state."""
    monkeypatch.setattr(settled_waiter, "MAX_WAITERS", 0)
    job = await ingest.submit()
    assert (await ingest.get(f"/v1/jobs/{job['id']}", wait=30))["state"] == "queued"


async def test_stopping_service_ends_every_wait(ingest, monkeypatch):
    """A stopping service ends every wait, also one that begins meanwhile."""
    monkeypatch.setattr(settled_waiter, "LOOK_EVERY_S", 1000.0)
    jobs = [await ingest.submit(), await ingest.submit()]
    answers = []

    async def ask(job) -> None:
        answers.append(await ingest.get(f"/v1/jobs/{job['id']}", wait=30))

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(ask, job)
        await wait_until(lambda: ingest.services.waiter.waiting == 2, "the requests wait")
        ingest.stop.set()
        ingest.hurry.set()
    assert [answer["state"] for answer in answers] == ["queued"] * 2
    with anyio.fail_after(20):
        late = await ingest.services.waiter.wait(queue_of(DEFAULT_TENANT, jobs[0]["id"]), jobs[0]["id"], 1000.0)
    assert late.state == "queued"


async def test_looks_of_waits_are_spread(ingest, queue, monkeypatch):
    """Each wait draws the time of its looks from the last fifth of the interval, so that they are spread."""
    asked = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.001

    monkeypatch.setattr(settled_waiter.random, "uniform", uniform)
    job = await ingest.submit()
    await ingest.services.waiter.wait(queue, job["id"], 0.05)
    assert len(asked) > 1
    assert set(asked) == {(0.8, 1.0)}


async def test_job_that_was_stored_as_waited_for_is_not_marked_again(ingest, queue, monkeypatch):
    """A submission with `Prefer: wait` is stored as watched in one write, and a repetition marks the first job."""
    watched, store = [], ingest.services.broker.store
    watch = store.watch

    async def noting(target, job_id):
        watched.append(job_id)
        return await watch(target, job_id)

    monkeypatch.setattr(store, "watch", noting)
    headers = {"prefer": "wait=0.05", "idempotency-key": "k"}
    first = await ingest.submit(headers=headers)
    assert watched == []
    again = await ingest.submit(headers=headers)
    assert watched == [first["id"]] == [again["id"]]


async def test_waiting_for_a_job_that_is_not_there_is_not_found(ingest):
    """A wait for a job that does not exist is answered with 404 at once."""
    path = "/v1/jobs/email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA?wait=30"
    problem(await ingest.http.get(path), 404, "job-not-found")
