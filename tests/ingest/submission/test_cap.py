"""A submission for a queue that is full by its cap is refused, and says when to come back."""

import pytest
from ingest.serving import problem

from millstream_contracts import DEFAULT_TENANT, JobType, Queue

SUBMISSION = {"type": "email.send", "payload": {}}


@pytest.fixture
async def capped(ingest, broker):
    """Cap a queue at two jobs."""
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, JobType("email.send"))])
    response = await ingest.http.put("/v1/queues/email.send/limits", json={"cap": 2})
    assert response.json()["limits"] == {"cap": 2}


async def test_a_job_above_the_cap_is_refused(ingest, capped):
    """The answer is 503 `backlog-full`, with the seconds in which there may be room."""
    for _ in range(2):
        assert (await ingest.http.post("/v1/jobs", json=SUBMISSION)).status_code == 202
    response = await ingest.http.post("/v1/jobs", json=SUBMISSION)
    assert "`email.send` has as many jobs as its cap allows" in problem(response, 503, "backlog-full")["detail"]
    # Nothing has started, so the longest time is named, less a fifth at most.
    assert 48 <= int(response.headers["retry-after"]) <= 60
    labels = {"type": "_other", "reason": "backlog"}
    assert ingest.services.registry.get_sample_value("millstream_submissions_refused_total", labels) == 1


async def test_the_items_above_the_cap_are_refused_alone(ingest, capped):
    """Of a batch request as many items are stored as there is room for."""
    response = await ingest.http.post("/v1/jobs/batch", json={"jobs": [SUBMISSION] * 3})
    items = response.json()["items"]
    assert [item["status"] for item in items] == [202, 202, 503]
    assert items[2]["problem"]["type"].endswith("/backlog-full")


async def test_a_repetition_of_a_request_is_answered_by_a_full_queue(ingest, capped):
    """A request that was accepted before is no new job."""
    key = {"idempotency-key": "k-1"}
    first = await ingest.http.post("/v1/jobs", json=SUBMISSION, headers=key)
    assert (await ingest.http.post("/v1/jobs", json=SUBMISSION)).status_code == 202
    again = await ingest.http.post("/v1/jobs", json=SUBMISSION, headers=key)
    assert again.json()["id"] == first.json()["id"]


async def test_a_job_above_the_cap_of_its_key_is_refused(ingest, capped):
    """The answer is 429 `key-backlog-full` for that key alone, also of an item of a batch, and is counted by itself."""
    response = await ingest.http.put("/v1/queues/email.send/limits", json={"per_key": {"cap": 1}})
    assert response.json()["limits"] == {"per_key": {"cap": 1}}
    assert (await ingest.http.post("/v1/jobs", json={**SUBMISSION, "key": "acme"})).status_code == 202
    response = await ingest.http.post("/v1/jobs", json={**SUBMISSION, "key": "acme"})
    assert "`email.send` has as many jobs of this key" in problem(response, 429, "key-backlog-full")["detail"]
    assert 48 <= int(response.headers["retry-after"]) <= 60
    jobs = [{**SUBMISSION, "key": key} for key in ("acme", "other")]
    items = (await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs})).json()["items"]
    assert [item["status"] for item in items] == [429, 202]
    labels = {"type": "_other", "reason": "key-backlog"}
    assert ingest.services.registry.get_sample_value("millstream_submissions_refused_total", labels) == 2
