"""A submission with `after` is stored blocked, and started or ended by what becomes of the jobs that it names."""

from typing import Any

import msgspec
import pytest
from ingest.serving import Ingest
from streams.seeds import ERROR, commit, seed_running, take

from millstream_contracts import Dead, JobId, Queue, new_job_id
from millstream_streams import Broker

pytestmark = pytest.mark.anyio


async def submit(ingest: Ingest, status: int = 202, key: str = "", **fields: Any) -> dict[str, Any]:
    """Submit a job of `email.send`."""
    headers = {"idempotency-key": key} if key else {}
    body = msgspec.json.encode({"type": "email.send", **fields})
    response = await ingest.http.post("/v1/jobs", content=body, headers={"content-type": "application/json", **headers})
    assert response.status_code == status, response.text
    return dict(response.json())


async def test_a_job_after_one_that_has_not_ended_is_blocked(ingest: Ingest) -> None:
    """The answer shows the job as blocked, and its dependencies show by which job."""
    parent = await submit(ingest)
    child = await submit(ingest, after=[parent["id"]])
    assert (child["state"], child["after"], child["after_failure"]) == ("blocked", [parent["id"]], "wait")
    around = await ingest.get(f"/v1/jobs/{child['id']}/dependencies")
    assert around["after"] == [{"id": parent["id"], "state": "queued", "blocks": True}]
    above = await ingest.get(f"/v1/jobs/{parent['id']}/dependencies")
    assert (above["children"], above["children_total"]) == (
        [{"id": child["id"], "state": "blocked", "blocks": False}],
        1,
    )
    listed = await ingest.get("/v1/jobs", state="blocked")
    assert [job["id"] for job in listed["items"]] == [child["id"]]
    (status,) = (await ingest.get("/v1/queues"))["items"]
    assert status["blocked"] == 1


async def test_a_job_after_one_that_has_succeeded_is_ready(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A parent that has succeeded blocks nothing, and is shown."""
    parent = await seed_running(broker, queue)
    await commit(broker, parent)
    child = await submit(ingest, after=[parent.id])
    assert (child["state"], child["after"]) == ("queued", [parent.id])
    assert [one.id for one in await take(broker, queue)] == [child["id"]]


@pytest.mark.parametrize(("policy", "state"), [("wait", "blocked"), ("cancel", "cancelled"), ("run", "queued")])
async def test_a_job_after_a_dead_one_is_as_its_policy_says(
    ingest: Ingest, broker: Broker, queue: Queue, policy: str, state: str
) -> None:
    """A job that comes after a dead letter waits, is cancelled, or runs; the answer says so already."""
    parent = await seed_running(broker, queue)
    await commit(broker, parent, Dead("attempts", ERROR))
    child = await submit(ingest, after=[parent.id], after_failure=policy)
    assert child["state"] == state
    assert child["because_of"] == (parent.id if policy == "cancel" else None)


async def test_an_unknown_parent_is_refused_or_ignored(ingest: Ingest, queue: Queue) -> None:
    """A job that is not known is named in a 422, unless the submission ignores such jobs."""
    missing = new_job_id(queue)
    refusal = await submit(ingest, 422, after=[(await submit(ingest))["id"], missing, "nonsense"])
    assert refusal["type"] == "/problems/unknown-parent"
    assert [one["pointer"] for one in refusal["errors"]] == ["/after/1", "/after/2"]
    child = await submit(ingest, after=[missing, "nonsense"], after_unknown="ignore")
    assert (child["state"], child["after"]) == ("queued", None)


async def test_options_of_dependencies_need_a_dependency(ingest: Ingest) -> None:
    """`after_failure` without `after` is refused by its name."""
    refusal = await submit(ingest, 422, after_failure="run")
    assert [one["pointer"] for one in refusal["errors"]] == ["/after_failure"]


async def test_a_repetition_returns_the_same_job_when_its_parents_are_forgotten(
    ingest: Ingest, broker: Broker, queue: Queue
) -> None:
    """A request that is sent again with its key has the same job, whatever has become of the parents."""
    parent = await seed_running(broker, queue)
    first = await submit(ingest, key="k", after=[parent.id])
    await commit(broker, parent)
    await broker.client.delete(broker.keys.of(queue).job(parent.id), broker.keys.of(queue).outbox)
    again = await submit(ingest, key="k", after=[parent.id])
    assert again["id"] == first["id"]
    await broker.client.delete(broker.keys.of(queue).children_prefix + parent.id)


async def test_jobs_of_a_batch_wait_too(ingest: Ingest, queue: Queue) -> None:
    """Each item of a batch has parents of its own, and an unknown one refuses that item alone."""
    parent = await submit(ingest)
    jobs = [
        {"type": "email.send", "after": [parent["id"]]},
        {"type": "email.send", "after": [new_job_id(queue)]},
        {"type": "email.send"},
    ]
    response = await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs})
    items = response.json()["items"]
    assert [item["status"] for item in items] == [202, 422, 202]
    assert items[1]["problem"]["errors"][0]["pointer"] == "/jobs/1/after/0"
    listed = await ingest.get("/v1/jobs", state="blocked")
    assert [job["id"] for job in listed["items"]] == [items[0]["id"]]


async def test_a_thousand_parents_block_one_job(ingest: Ingest, broker: Broker, queue: Queue) -> None:
    """A job may wait for a thousand others, and for no more."""
    response = await ingest.http.post("/v1/jobs/batch", json={"jobs": [{"type": "email.send"}] * 1000})
    ids = [JobId(item["id"]) for item in response.json()["items"]]
    child = await submit(ingest, after=ids)
    assert child["state"] == "blocked"
    assert len(await broker.views.open_parents(queue, JobId(str(child["id"])))) == 1000
    await submit(ingest, 422, after=[*ids, ids[0] + "x"])
