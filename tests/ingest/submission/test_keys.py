"""Keys over HTTP: whatever submits a job, its key is stored with it and shown."""

from typing import Any

import msgspec
import pytest
from ingest.serving import Ingest

from millstream_contracts import DEFAULT_TENANT, JobId, JobType, Queue, TypePolicy, TypeRegistration, queue_of
from millstream_streams import Broker

KEY = "acme: 100 % of /é/"
SPREAD = TypePolicy(key="customer", partitions=16)


@pytest.fixture
async def by_customer(broker: Broker) -> None:
    """Register a type whose jobs have their key in the payload."""
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=JobType("bill.send"), policy=SPREAD)])


async def submit(ingest: Ingest, path: str = "/v1/jobs", status: int = 202, **fields: Any) -> dict[str, Any]:
    """Submit something, and return the answer."""
    response = await ingest.http.post(path, json=fields)
    assert response.status_code == status, response.text
    return response.json()


async def test_a_job_shows_its_key(ingest: Ingest, broker: Broker) -> None:
    """The answer and each later read show the key as it was sent; scripts have it without blanks."""
    made = await submit(ingest, type="a", key=KEY)
    assert made["key"] == KEY
    assert (await ingest.get(f"/v1/jobs/{made['id']}"))["key"] == KEY
    lane = await broker.client.hget(broker.keys.of(Queue(DEFAULT_TENANT, JobType("a"))).job(made["id"]), "lane")
    assert lane is not None
    assert lane.isascii()
    assert not {b" ", b"/"} & {lane[at : at + 1] for at in range(len(lane))}
    assert (await submit(ingest, type="a"))["key"] is None


async def test_each_item_of_a_batch_and_each_line_has_its_key(ingest: Ingest) -> None:
    """A batch and a sequence of lines store keys; one that is wrong is told with its item."""
    items = [{"type": "a", "key": "x"}, {"type": "a", "key": ""}, {"type": "a", "key": "y"}]
    lines = b"\n".join(msgspec.json.encode(item) for item in items)
    sent = await ingest.http.post("/v1/jobs/batch", json={"jobs": items})
    sequence = await ingest.http.post("/v1/jobs/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    for response, prefix in ((sent, "/jobs/1"), (sequence, "/1")):
        first, wrong, last = response.json()["items"]
        assert [(await ingest.get(f"/v1/jobs/{one['id']}"))["key"] for one in (first, last)] == ["x", "y"]
        assert [one["pointer"] for one in wrong["problem"]["errors"]] == [f"{prefix}/key"]


async def test_a_template_and_a_schedule_have_the_key_of_their_jobs(ingest: Ingest) -> None:
    """What they show is what was put, and a submission has the key of its template unless it has one."""
    put = await ingest.http.put("/v1/templates/bill", json={"type": "a", "key": KEY})
    assert put.json()["key"] == KEY
    assert (await submit(ingest, template="bill"))["key"] == KEY
    assert (await submit(ingest, template="bill", key="other"))["key"] == "other"
    rules = {"cron": "0 3 * * *", "job": {"type": "a", "key": KEY}}
    assert (await ingest.http.put("/v1/schedules/nightly", json=rules)).json()["job"]["key"] == KEY


async def test_the_key_in_the_payload_chooses_the_partition(ingest: Ingest, by_customer: None) -> None:
    """Jobs of a customer are in one queue, one by one and in a batch, and a repetition finds the first job."""
    jobs = [{"type": "bill.send", "payload": {"customer": 17, "number": number}} for number in range(8)]
    made = [await submit(ingest, **jobs[0]), await submit(ingest, **jobs[1])]
    ids = [one["id"] for one in made]
    ids += [item["id"] for item in (await submit(ingest, "/v1/jobs/batch", 207, jobs=jobs[2:]))["items"]]
    assert len({queue_of(DEFAULT_TENANT, JobId(one)) for one in ids}) == 1
    assert {(await ingest.get(f"/v1/jobs/{one}"))["key"] for one in ids} == {"17"}
    headers = {"idempotency-key": "once"}
    twice = [(await ingest.http.post("/v1/jobs", json=jobs[0], headers=headers)).json()["id"] for _ in range(2)]
    assert twice[0] == twice[1]


async def test_a_node_of_a_workflow_has_a_key(ingest: Ingest, broker: Broker, by_customer: None) -> None:
    """Nodes of one customer get ids of one queue; a key of a node that is none is told with the node."""
    nodes = {f"n{at}": {"type": "bill.send", "payload": {"customer": "acme"}} for at in range(6)}
    nodes["own"] = {"type": "bill.send", "key": "acme"}
    await submit(ingest, "/v1/workflows", name="bills", nodes=nodes)
    wrong = {"type": "bill.send", "payload": {"customer": [1]}}
    refused = await submit(ingest, "/v1/workflows", 422, name="bills", nodes={**nodes, "wrong": wrong})
    assert [one["pointer"] for one in refused["errors"]] == ["/nodes/wrong/payload/customer"]
