"""A delayed job starts when it is due, and not before."""

import pytest
from ingest.serving import Ingest, patient, running_ingest
from system.running import PATIENT_DISPATCHER, python_process
from waiting import wait_until

from millstream_ingest.settings import IngestSettings


async def test_delayed_jobs_start_no_sooner_than_they_are_due(client):
    """No delayed job starts before it is due, by the clock of Redis."""
    delays = (0.05, 0.3, 0.6, 1.0)
    jobs = [await client.submit("chore.now", delay=delay) for delay in delays]
    for job in jobs:
        ran_at_ns = await job.result(60)
        ended = await job.status()
        assert ended.started_at >= ended.run_at > ended.created_at
        # The stored moment is in whole milliseconds.
        assert ran_at_ns >= ended.run_at.timestamp() * 1e9 - 1e6


@pytest.fixture
async def ingest(broker, redis_url, namespace):
    """Yield an ingest on keys of its own."""
    async with running_ingest(patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0))) as running:
        yield running


async def test_hint_wakes_a_dispatcher_for_a_job_that_is_due_before_it_would_look(
    ingest: Ingest, broker, redis_url, namespace, tmp_path
):
    """A hint wakes a dispatcher, which checks once an hour, for each job that is due earlier."""
    with python_process(PATIENT_DISPATCHER, tmp_path, MILLSTREAM_REDIS_URL=redis_url, MILLSTREAM_NAMESPACE=namespace):
        await wait_until(lambda: is_heard(broker), "the dispatcher listens", 60)
        later = await ingest.submit("chore.now", delay_s=1800)
        for delay_s in (0.3, 0.1, 0.2):
            job = await ingest.submit("chore.now", delay_s=delay_s)
            assert job["state"] == "scheduled"
            await wait_until(lambda job=job: is_released(ingest, job), f"the job due in {delay_s} s is released", 60)
        assert (await ingest.get(f"/v1/jobs/{later['id']}"))["state"] == "scheduled"


async def is_heard(broker) -> bool:
    """Return whether a dispatcher listens for queues with an earlier due job."""
    [(_, listeners)] = await broker.client.pubsub_numsub(broker.keys.hint_due)
    return listeners == 1


async def is_released(ingest: Ingest, job: dict) -> bool:
    """Return whether a job is ready."""
    return (await ingest.get(f"/v1/jobs/{job['id']}"))["state"] == "queued"
