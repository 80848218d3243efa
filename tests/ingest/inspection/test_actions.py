"""Operators cancel, retry, redrive and discard jobs over HTTP."""

import anyio
import pytest
from ingest.serving import MSGPACK, packed, problem, unpacked
from streams.seeds import ERROR, TTL_MS, commit, seed, seed_dead, seed_running, take
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, Dead, JobId, JobStack, JobType, Queue
from millstream_streams import Commit, StoreUnavailableError


async def test_waiting_job_is_cancelled_at_once(ingest, broker, queue):
    """A queued or scheduled job is cancelled at once."""
    for job in (await ingest.submit(), await ingest.submit(delay_s=60)):
        response = await ingest.http.post(f"/v1/jobs/{job['id']}/cancel")
        assert response.status_code == 202
        assert response.json()["state"] == "cancelled"
        assert response.headers["etag"] != '"1"'


async def test_running_job_is_asked_to_stop(ingest, broker, queue):
    """A cancellation of a running job is shown on the job until its worker has ended it, and may be repeated."""
    delivery = await seed_running(broker, queue)
    for _ in range(2):
        response = await ingest.http.post(f"/v1/jobs/{delivery.id}/cancel")
        assert response.status_code == 202
        assert (response.json()["state"], response.json()["cancel_requested"]) == ("running", True)


async def test_stack_of_a_job_is_what_its_worker_answers(ingest, broker, queue):
    """The stack of a running job is what its worker answers, in either encoding."""
    delivery = await seed_running(broker, queue)
    worker = (await broker.views.job(queue, delivery.id)).worker
    told = JobStack(delivery.id, 1, worker, "somewhere")
    listening = []

    async with anyio.create_task_group() as tasks:

        def answer(request):
            blob = packed(told)
            tasks.start_soon(broker.store.tell_stack, queue, delivery.id, delivery.token, request.number, blob)

        tasks.start_soon(broker.listen_cancel, worker, lambda _: None, lambda: listening.append(1), answer)
        await wait_until(lambda: listening, "the worker listens")
        wanted = {"id": delivery.id, "attempt": 1, "worker": worker, "stack": "somewhere"}
        assert await ingest.get(f"/v1/jobs/{delivery.id}/stack") == wanted
        response = await ingest.http.get(f"/v1/jobs/{delivery.id}/stack", headers={"accept": MSGPACK})
        assert unpacked(response) == wanted
        tasks.cancel_scope.cancel()


async def test_stack_is_refused_where_there_is_none(ingest, broker, queue, monkeypatch):
    """The stack of an unknown job is a 404, of one that does not run a 409, and of a silent worker a 504."""
    unknown = "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"
    problem(await ingest.http.get(f"/v1/jobs/{unknown}/stack"), 404, "job-not-found")
    problem(await ingest.http.get("/v1/jobs/nonsense/stack"), 404, "job-not-found")
    monkeypatch.setattr("millstream_ingest.inspection.stacks.WAIT_S", 0.05)
    silent = await seed_running(broker, queue)
    refusal = problem(await ingest.http.get(f"/v1/jobs/{silent.id}/stack"), 504, "worker-silent")
    assert (await broker.views.job(queue, silent.id)).worker in refusal["detail"]
    waiting = await ingest.submit()
    refusal = problem(await ingest.http.get(f"/v1/jobs/{waiting['id']}/stack"), 409, "wrong-state")
    assert refusal["detail"] == "the job is queued: only one that runs has a stack"


async def test_a_scheduled_job_is_run_before_its_time(ingest, broker, queue):
    """A job that is run before its time is ready at once, and a repetition leaves it as it is."""
    job = await ingest.submit(delay_s=60)
    for _ in range(2):
        response = await ingest.http.post(f"/v1/jobs/{job['id']}/run-now")
        assert response.status_code == 202
        assert (response.json()["state"], response.json().get("run_at")) == ("queued", None)


async def test_the_priority_of_a_waiting_job_is_changed(ingest, broker, queue):
    """A job is shown with its new priority; anything but a priority is refused, with its place."""
    running = await seed_running(broker, queue)
    job = await ingest.submit()
    place = f"/v1/jobs/{job['id']}/priority"
    response = await ingest.http.post(place, json={"priority": "high"})
    assert (response.status_code, response.json()["priority"]) == (202, "high")
    for body in ({"priority": "urgent"}, {}, {"priority": "low", "more": 1}):
        refusal = problem(await ingest.http.post(place, json=body), 422, "invalid-request")
        assert refusal["errors"]
    response = await ingest.http.post(f"/v1/jobs/{running.id}/priority", json={"priority": "low"})
    assert "it has started" in problem(response, 409, "wrong-state")["detail"]


@pytest.mark.parametrize("action", ["cancel", "retry", "run-now"])
async def test_finished_job_can_neither_be_cancelled_nor_retried(ingest, broker, queue, action):
    """A cancel or retry of a finished job is answered with 409 and its state."""
    delivery = await seed_running(broker, queue)
    await commit(broker, delivery)
    response = await ingest.http.post(f"/v1/jobs/{delivery.id}/{action}")
    assert "succeeded" in problem(response, 409, "wrong-state")["detail"]


async def test_dead_job_is_retried(ingest, broker, queue):
    """A retry makes a dead job ready, counted from zero."""
    job_id = await seed_dead(broker, queue)
    response = await ingest.http.post(f"/v1/jobs/{job_id}/retry")
    assert response.status_code == 202
    assert response.json()["state"] == "queued"
    assert response.json().get("attempts", 0) == 0
    problem(await ingest.http.post(f"/v1/jobs/{job_id}/retry"), 409, "wrong-state")


@pytest.mark.parametrize(("action", "state"), [("redrive", "queued"), ("discard", "cancelled")])
async def test_dead_letters_are_acted_on_by_id(ingest, broker, queue, action, state):
    """An action by ids reports on each in order, and changes only dead jobs."""
    dead = [await seed_dead(broker, queue) for _ in range(3)]
    other = await seed_dead(broker, Queue(DEFAULT_TENANT, JobType("sms.send")))
    (alive,) = await seed(broker, queue)
    gone = "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"
    ids = [dead[0], gone, other, alive, dead[1]]
    report = (await ingest.http.post(f"/v1/dead/{action}", json={"ids": ids})).json()
    assert (report["done"], report["refused"]) == (3, 2)
    assert [(item["id"], item["status"]) for item in report["items"]] == list(
        zip(ids, [202, 404, 202, 409, 202], strict=True)
    )
    assert (await ingest.get(f"/v1/jobs/{dead[0]}"))["state"] == state
    assert (await ingest.get(f"/v1/jobs/{dead[2]}"))["state"] == "dead"


@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_dead_letters_are_acted_on_by_type(ingest, broker, queue, action):
    """An action by type changes the newest dead letters of that type, up to the limit."""
    ids = [await seed_dead(broker, queue) for _ in range(5)]
    other = await seed_dead(broker, Queue(DEFAULT_TENANT, JobType("sms.send")))
    await broker.registry.add_queues([queue, Queue(DEFAULT_TENANT, JobType("sms.send"))])
    body = packed({"type": "email.send", "limit": 3})
    response = await ingest.http.post(f"/v1/dead/{action}", content=body, headers={"content-type": MSGPACK})
    report = unpacked(response)
    assert [item["id"] for item in report["items"]] == ids[:1:-1]
    left = [letter["id"] for letter in (await ingest.get("/v1/dead"))["items"]]
    assert left == [ids[1], ids[0], other]


async def test_many_dead_letters_are_redriven_in_one_request(ingest, broker, queue):
    """One request redrives more dead letters than one script call or page holds."""
    ids = await bury_many(broker, queue, 620)
    await broker.registry.add_queues([queue])
    report = (await ingest.http.post("/v1/dead/redrive", json={"type": "email.send"})).json()
    assert (report["done"], report["refused"]) == (620, 0)
    assert {item["id"] for item in report["items"]} == set(ids)
    assert (await broker.store.measure(queue)).dead == 0


async def bury_many(broker, queue, count) -> list[JobId]:
    """Store jobs and bury all of them."""
    ids: list[JobId] = []
    while len(ids) < count:
        await seed(broker, queue, min(100, count - len(ids)))
        taken = await take(broker, queue, limit=100)
        commits = [Commit(one, Dead("attempts", ERROR), TTL_MS) for one in taken]
        await broker.store.commit(queue, worker="w1", commits=commits)
        ids += [one.id for one in taken]
    return ids


async def test_repeated_id_is_answered_once(ingest, broker, queue):
    """An id that is repeated in an action is reported once."""
    job_id = await seed_dead(broker, queue)
    report = (await ingest.http.post("/v1/dead/discard", json={"ids": [job_id, job_id]})).json()
    assert [(item["id"], item["status"]) for item in report["items"]] == [(job_id, 202)]


async def test_jobs_that_a_request_ended_are_counted(ingest, broker, queue, registered):
    """Jobs that the API has cancelled or discarded count as finished jobs."""
    for _ in range(2):
        await seed_dead(broker, queue)
    await broker.registry.add_queues([queue])
    job = await ingest.submit(payload={"to": "a"})
    await ingest.http.post(f"/v1/jobs/{job['id']}/cancel")
    discarded = (await ingest.http.post("/v1/dead/discard", json={"type": "email.send"})).json()
    # What has ended is not ended again, by whatever request.
    again = {"ids": [item["id"] for item in discarded["items"]]}
    assert (await ingest.http.post("/v1/dead/discard", json=again)).json()["refused"] == 2
    await ingest.http.post(f"/v1/jobs/{job['id']}/cancel")
    count = ingest.services.registry.get_sample_value(
        "millstream_jobs_finished_total", {"type": "email.send", "state": "cancelled"}
    )
    assert count == 3


@pytest.mark.parametrize("action", ["redrive", "discard"])
async def test_redis_that_goes_away_in_the_middle_leaves_a_report_of_what_was_done(
    ingest, broker, queue, monkeypatch, action
):
    """When Redis goes away in the middle of an action, the report says for each id whether it was done."""
    ids = await bury_many(broker, queue, 150)
    store, calls = ingest.services.broker.store, []
    act = getattr(store, action)

    async def failing(target, load, **options):
        calls.append(len(load))
        if len(calls) != 1:
            raise StoreUnavailableError("away")
        return await act(target, load, **options)

    monkeypatch.setattr(store, action, failing)
    response = await ingest.http.post(f"/v1/dead/{action}", json={"ids": ids})
    assert response.status_code == 200
    problem(await ingest.http.post(f"/v1/dead/{action}", json={"ids": ids}), 503, "store-unreachable")
    report = response.json()
    assert (report["done"], report["refused"]) == (100, 50)
    assert [item["status"] for item in report["items"]] == [202] * 100 + [503] * 50
    assert calls[:2] == [100, 50]
