"""Who may submit jobs may read and cancel those that it has submitted, and no others (ADR 127, ADR 128)."""

from datetime import UTC, datetime

import pytest
from history_databases import execute
from history_seeds import events_of, store_at
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem, remembering_ingest
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    EventKind,
    Job,
    JobError,
    JobId,
    JobState,
    JobType,
    MintedKey,
    NodeState,
    Queue,
    Role,
    Scope,
    WorkflowId,
    WorkflowState,
    WorkflowStatus,
    ms_of,
    new_job_id,
    queue_of,
)
from millstream_history import EndedWorkflow, open_history
from millstream_ingest.api.app import API_ROUTES
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, KeyChange

SECRET = "canary-4711"
JOB = {"type": "email.send", "payload": {"token": SECRET}}
UNKNOWN = "email.send_0001890000000000000000000000"
QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
WORKFLOW = {"name": "a", "nodes": {"b": JOB}}
SUBMITS_WORKFLOWS = ["jobs:submit", "workflows:manage"]
LONG_AGO = datetime(2026, 11, 1, 12, tzinfo=UTC)
FAILED = [(EventKind.SUBMITTED, "queued"), (EventKind.STARTED, "running"), (EventKind.DEAD, "dead")]


@pytest.fixture
async def mine(give: Give) -> MintedKey:
    """Store a key that may submit jobs."""
    return await give(Role.SUBMITTER)


@pytest.fixture
async def theirs(give: Give) -> MintedKey:
    """Store another one."""
    return await give(Role.SUBMITTER)


async def submitted(ingest: Ingest, key: MintedKey | str, path: str = "/v1/jobs") -> str:
    """Submit a job with a key. Return its id."""
    response = await ingest.http.post(path, json=JOB, headers=bearer(key))
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/"], ids=["fast path", "router"])
async def test_submitter_follows_its_own_job(ingest: Ingest, mine: MintedKey, path: str):
    """A job that a key has submitted by either door is read, waited for, followed and cancelled by it, with payload."""
    job_id, headers = await submitted(ingest, mine, path), bearer(mine)
    read = await ingest.http.get(f"/v1/jobs/{job_id}", params={"wait": "0.01"}, headers=headers)
    assert (read.status_code, read.json()["payload"], read.json()["submitted_by"]) == (200, JOB["payload"], mine.id)
    async with ingest.http.stream("GET", "/v1/events", params={"job": job_id}, headers=headers) as stream:
        assert stream.status_code == 200
    cancelled = await ingest.http.post(f"/v1/jobs/{job_id}/cancel", headers=headers)
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert cancelled.json()["payload"] == JOB["payload"]


async def test_jobs_of_others_are_unknown(ingest: Ingest, admin: MintedKey, mine: MintedKey, theirs: MintedKey):
    """To a submitter a job of another key is as unknown as one that never was, and stays as it is."""
    for other in (await submitted(ingest, theirs), await submitted(ingest, admin)):
        for method, path in (("GET", ""), ("GET", "/timeline"), ("POST", "/cancel")):
            refused = await ingest.http.request(method, f"/v1/jobs/{other}{path}", headers=bearer(mine))
            unknown = await ingest.http.request(method, f"/v1/jobs/{UNKNOWN}{path}", headers=bearer(mine))
            assert problem(refused, 404, "job-not-found")["detail"] == unknown.json()["detail"]
            assert f"`{mine.id}`" in refused.json()["detail"]
        events = await ingest.http.get("/v1/events", params={"job": other}, headers=bearer(mine))
        problem(events, 404, "job-not-found")
        assert (await ingest.http.get(f"/v1/jobs/{other}", headers=bearer(admin))).json()["state"] == "queued"


async def test_lists_stay_closed_and_say_what_is_open(ingest: Ingest, mine: MintedKey):
    """A list or a stream of all events is refused to a submitter, and the refusal says what it may do."""
    for path in ("/v1/jobs", "/v1/events", "/v1/dead", "/v1/queues", "/v1/batches"):
        refused = problem(await ingest.http.get(path, headers=bearer(mine)), 403, "forbidden")
        assert "those that it has submitted itself" in refused["detail"], path


async def test_every_route_for_own_jobs_refuses_those_of_others(
    ingest: Ingest, admin: MintedKey, mine: MintedKey, theirs: MintedKey
):
    """Each route that is open for what is one's own answers for nothing else, so a new one cannot forget it."""
    own, other = await submitted(ingest, mine), await submitted(ingest, theirs)
    batch = await ingest.http.post("/v1/batches", json={"name": "a", "open": True}, headers=bearer(theirs))
    workflow = await ingest.http.post("/v1/workflows", json=WORKFLOW, headers=bearer(admin))
    for route in (route for route in API_ROUTES if route.own):
        assert route.scope in {Scope.JOBS_READ, Scope.JOBS_MANAGE, Scope.WORKFLOWS_MANAGE}, route.path
        path = route.path.format(job_id=other, batch_id=batch.json()["id"], workflow_id=workflow.json()["id"])
        for method in route.methods:
            response = await ingest.http.request(method, path, headers=bearer(mine), params={})
            assert response.status_code in {403, 404}, (method, route.path)
    for route in API_ROUTES:
        if not route.own and route.scope in {Scope.JOBS_READ, Scope.JOBS_MANAGE} and "{job_id}" in route.path:
            path = route.path.format(job_id=own, signal="a", webhook_id="a")
            response = await ingest.http.request(route.methods[0], path, headers=bearer(mine))
            problem(response, 403, "forbidden")
    assert (await ingest.http.get(f"/v1/jobs/{own}", headers=bearer(admin))).json()["state"] == "queued"


async def test_own_jobs_stay_own_when_a_key_is_rotated(ingest: Ingest, admin: MintedKey):
    """The successor of a key reads what the key has submitted, and the key what the successor has."""
    asked = {"name": "a", "role": "submitter"}
    first = (await ingest.http.post("/v1/keys", json=asked, headers=bearer(admin))).json()
    before = await submitted(ingest, first["key"])
    second = (await ingest.http.post(f"/v1/keys/{first['id']}/rotate", json={}, headers=bearer(admin))).json()
    after = await submitted(ingest, second["key"])
    for key in (first["key"], second["key"]):
        assert (await ingest.http.get("/v1/me", headers=bearer(key))).json()["owner"] == first["id"]
        for job_id in (before, after):
            read = await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(key))
            assert (read.status_code, read.json()["submitted_by"]) == (200, first["id"])


async def test_session_acts_as_its_key(ingest: Ingest, mine: MintedKey):
    """A job that a session has submitted is its key's own, and the other way round."""
    session = (await ingest.http.post("/v1/sessions", json={}, headers=bearer(mine))).json()["token"]
    for by, read_by in ((session, mine), (mine, session)):
        job_id = await submitted(ingest, by)
        read = await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(read_by))
        assert (read.status_code, read.json()["submitted_by"]) == (200, mine.id)


async def test_many_jobs_and_batches_are_own(ingest: Ingest, mine: MintedKey, theirs: MintedKey, broker: Broker):
    """Jobs of one request and members of a batch are their submitter's, as the batch is, which it reads and cancels."""
    many = await ingest.http.post("/v1/jobs/batch", json={"jobs": [JOB, JOB]}, headers=bearer(mine))
    asked = {"name": "b", "jobs": [JOB], "open": True}
    batch = (await ingest.http.post("/v1/batches", json=asked, headers=bearer(mine))).json()
    assert batch["submitted_by"] == mine.id
    path = f"/v1/batches/{batch['id']}"
    added = await ingest.http.post(f"{path}/jobs", json={"jobs": [JOB]}, headers=bearer(mine))
    members = (await ingest.http.get(f"{path}/jobs", headers=bearer(mine))).json()["items"]
    assert len(members) == 2
    ids = [item["id"] for item in many.json()["items"] + added.json()["items"]] + [one["job"] for one in members]
    for job_id in ids:
        assert (await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(mine))).status_code == 200
        problem(await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(theirs)), 404, "job-not-found")
    for method, behind in (("GET", ""), ("GET", "/jobs"), ("POST", "/cancel")):
        refused = await ingest.http.request(method, path + behind, headers=bearer(theirs))
        problem(refused, 404, "batch-not-found")
    assert (await ingest.http.get(path, headers=bearer(mine))).status_code == 200
    assert (await ingest.http.post(f"{path}/cancel", headers=bearer(mine))).status_code == 200


async def test_payload_of_an_own_job_is_told_to_a_reader_without_payloads(
    ingest: Ingest, give: Give, mine: MintedKey, theirs: MintedKey
):
    """A key that reads all jobs without payloads reads those of its own; a repetition of a submission has its too."""
    both = await give("", scopes=["jobs:submit", "jobs:read"])
    own, other = await submitted(ingest, both), await submitted(ingest, theirs)
    assert SECRET in (await ingest.http.get(f"/v1/jobs/{own}", headers=bearer(both))).text
    assert SECRET not in (await ingest.http.get(f"/v1/jobs/{other}", headers=bearer(both))).text
    headers = {**bearer(mine), "Idempotency-Key": "k"}
    first, again = [(await ingest.http.post("/v1/jobs", json=JOB, headers=headers)) for _ in range(2)]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["payload"] == first.json()["payload"] == JOB["payload"]
    # Within a tenant a key of idempotency is shared, and what it has made is not.
    foreign = await ingest.http.post("/v1/jobs", json=JOB, headers={**headers, **bearer(theirs)})
    assert foreign.json()["id"] == first.json()["id"]
    assert SECRET not in foreign.text


async def test_reader_of_all_jobs_cancels_its_own_alone(ingest: Ingest, give: Give, theirs: MintedKey):
    """A key that reads all jobs is told which scope it lacks to cancel those of others, and cancels its own."""
    both = await give("", scopes=["jobs:submit", "jobs:read"])
    own, other = await submitted(ingest, both), await submitted(ingest, theirs)
    refused = await ingest.http.post(f"/v1/jobs/{other}/cancel", headers=bearer(both))
    assert "`jobs:manage`" in problem(refused, 403, "forbidden")["detail"]
    assert (await ingest.http.get(f"/v1/jobs/{other}", headers=bearer(both))).json()["state"] == "queued"
    assert (await ingest.http.post(f"/v1/jobs/{own}/cancel", headers=bearer(both))).status_code == 202


async def test_key_without_the_right_to_submit_has_nothing_of_its_own(
    ingest: Ingest, give: Give, mine: MintedKey, broker: Broker
):
    """Jobs are not told to a key that has lost the scope by which they are its own."""
    job_id = await submitted(ingest, mine)
    stored = await broker.api_keys.get(mine.id)
    assert stored is not None
    lost = replace(stored, role="", scopes=["workflows:manage"])
    assert await broker.api_keys.put_keys([KeyChange(mine.id, stored, lost)])
    await ingest.services.key_cache.refresh()
    problem(await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(mine)), 403, "forbidden")


async def test_narrowed_submitter_reads_own_jobs_of_its_types(ingest: Ingest, give: Give, broker: Broker):
    """What narrows a key holds for its own jobs too."""
    narrowed = await give(Role.SUBMITTER, types=["email.*"])
    job_id = await submitted(ingest, narrowed)
    assert (await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(narrowed))).status_code == 200
    events = {"job": job_id}
    async with ingest.http.stream("GET", "/v1/events", params=events, headers=bearer(narrowed)) as stream:
        assert stream.status_code == 200


async def test_attempt_on_a_job_of_another_is_recorded(
    remembering: Ingest, admin: MintedKey, mine: MintedKey, theirs: MintedKey, broker: Broker
):
    """A submitter that tries to cancel a job of another leaves a record of the refusal."""
    other = await submitted(remembering, theirs)
    problem(await remembering.http.post(f"/v1/jobs/{other}/cancel", headers=bearer(mine)), 404, "job-not-found")
    own = await submitted(remembering, mine)
    timeline = await remembering.http.get(f"/v1/jobs/{own}/timeline", headers=bearer(mine))
    assert (timeline.status_code, timeline.json()["id"]) == (200, own)
    waiting = (await broker.audit_trail.waiting(100)).entries
    assert [(one.outcome, one.status) for one in waiting if one.target.endswith("/cancel")][-1:] == [("refused", 404)]


async def forgotten(history_url: str, owner: str | None) -> JobId:
    """Have there be a job that only the history has. Return its id."""
    job = Job(
        id=new_job_id(QUEUE, ms_of(LONG_AGO)),
        type=QUEUE.type,
        state=JobState.DEAD,
        version=3,
        deliveries=1,
        created_at=LONG_AGO,
        payload=JOB["payload"],
        result=[SECRET],
        error=JobError("E", SECRET, traceback=SECRET),
        submitted_by=owner,
    )
    await store_at(history_url, QUEUE, job, events_of(job, FAILED, at_ms=ms_of(LONG_AGO)))
    return job.id


async def test_submitter_reads_its_own_job_of_the_past(
    remembering: Ingest, mine: MintedKey, theirs: MintedKey, history_url: str
):
    """A job that Redis has forgotten is still its submitter's, with payload, result and timeline, and no one else's."""
    own, nobodys = await forgotten(history_url, mine.id), await forgotten(history_url, None)
    read = (await remembering.http.get(f"/v1/jobs/{own}", headers=bearer(mine))).json()
    assert (read["source"], read["submitted_by"]) == ("history", mine.id)
    assert (read["payload"], read["result"]) == (JOB["payload"], [SECRET])
    timeline = (await remembering.http.get(f"/v1/jobs/{own}/timeline", headers=bearer(mine))).json()
    assert timeline["attempts"][0]["error"]["traceback"] == SECRET
    refused = await remembering.http.post(f"/v1/jobs/{own}/cancel", headers=bearer(mine))
    assert "no longer in Redis" in problem(refused, 409, "wrong-state")["detail"]
    for job_id, key in ((own, theirs), (nobodys, mine), (nobodys, theirs)):
        for method, path in (("GET", ""), ("GET", "/timeline"), ("POST", "/cancel")):
            answer = await remembering.http.request(method, f"/v1/jobs/{job_id}{path}", headers=bearer(key))
            problem(answer, 404, "job-not-found")


async def test_history_is_asked_about_the_owner_of_forgotten_jobs_alone(
    remembering: Ingest, give: Give, admin: MintedKey, mine: MintedKey, history_url: str
):
    """While the history is away, live jobs are read and refused as ever, and one that Redis does not know is a 503."""
    own, other = await submitted(remembering, mine), await submitted(remembering, admin)
    reader = await give("", scopes=["jobs:submit", "jobs:read"])
    await execute(history_url, "ALTER TABLE jobs RENAME TO elsewhere")
    assert (await remembering.http.get(f"/v1/jobs/{own}", headers=bearer(mine))).status_code == 200
    assert (await remembering.http.get(f"/v1/jobs/{other}", headers=bearer(reader))).status_code == 200
    problem(await remembering.http.get(f"/v1/jobs/{other}", headers=bearer(mine)), 404, "job-not-found")
    problem(await remembering.http.get(f"/v1/jobs/{UNKNOWN}", headers=bearer(mine)), 503, "history-unavailable")


async def test_search_finds_jobs_by_who_has_submitted_them(
    remembering: Ingest, admin: MintedKey, mine: MintedKey, theirs: MintedKey, history_url: str
):
    """`submitted_by:` finds the jobs of an owner, its negation those of all others, and each says whose it is."""
    own, other = await forgotten(history_url, mine.id), await forgotten(history_url, theirs.id)
    nobodys = await forgotten(history_url, None)
    for q, ids in (
        (f"submitted_by:{mine.id}", {own}),
        (f"-submitted_by:{mine.id}", {other, nobodys}),
        (f"submitted_by:{theirs.id[:4]}*,{mine.id}", {own, other}),
    ):
        found = (await remembering.http.get("/v1/jobs", params={"q": q}, headers=bearer(admin))).json()["items"]
        assert {one["id"] for one in found} == ids
    listed = (await remembering.http.get("/v1/jobs", params={"q": ""}, headers=bearer(admin))).json()["items"]
    assert {one["id"]: one["submitted_by"] for one in listed} == {own: mine.id, other: theirs.id, nobodys: None}


async def test_submitter_of_a_workflow_reads_and_cancels_it(ingest: Ingest, give: Give, mine: MintedKey):
    """A key that may submit workflows, and not read all, reads and cancels its own; others find it unknown."""
    key = await give("", scopes=SUBMITS_WORKFLOWS)
    made = await ingest.http.post("/v1/workflows", json=WORKFLOW, headers=bearer(key))
    path = f"/v1/workflows/{made.json()['id']}"
    read = await ingest.http.get(path, params={"wait": "0.01"}, headers=bearer(key))
    assert (read.status_code, read.json()["workflow"]["submitted_by"]) == (200, key.id)
    other = await give("", scopes=["jobs:submit"])
    unknown = await ingest.http.get("/v1/workflows/WF_0001J00000000000000000000000", headers=bearer(other))
    for method, behind in (("GET", ""), ("POST", "/cancel")):
        refused = await ingest.http.request(method, path + behind, headers=bearer(other))
        assert problem(refused, 404, "workflow-not-found")["detail"] == unknown.json()["detail"]
    cancelled = await ingest.http.post(f"{path}/cancel", headers=bearer(key))
    assert (cancelled.status_code, cancelled.json()["submitted_by"]) == (200, key.id)
    problem(await ingest.http.get("/v1/workflows", headers=bearer(key)), 403, "forbidden")


async def test_workflow_of_the_past_is_its_submitters(
    remembering: Ingest, broker: Broker, mine: MintedKey, theirs: MintedKey, history_url: str
):
    """A workflow that only the history has is read by who has submitted it, with its result, and by no other key."""
    workflow_id = broker.workflows.new_id(DEFAULT_TENANT, ms_of(LONG_AGO))
    status = WorkflowStatus(
        id=WorkflowId(workflow_id),
        name="a",
        state=WorkflowState.SUCCEEDED,
        counts={NodeState.SUCCEEDED: 0},
        created_at=LONG_AGO,
        finished_at=LONG_AGO,
        result=SECRET,
        submitted_by=mine.id,
    )
    at_ms = ms_of(LONG_AGO)
    past = EndedWorkflow(tenant=DEFAULT_TENANT, status=status, place=float(at_ms), turn=at_ms * 1000, nodes=[])
    async with open_history(history_url) as history:
        await history.workflows.store([past])
    path = f"/v1/workflows/{workflow_id}"
    found = (await remembering.http.get(path, headers=bearer(mine))).json()["workflow"]
    assert (found["submitted_by"], found["source"], found["result"]) == (mine.id, "history", SECRET)
    problem(await remembering.http.get(path, headers=bearer(theirs)), 404, "workflow-not-found")


async def test_without_credentials_no_job_has_an_owner(broker: Broker, settings: IngestSettings, history_url: str):
    """Where ingest asks for no credentials, jobs say of no one that it has submitted them."""
    async with remembering_ingest(replace(settings, auth="off"), history_url) as ingest:
        made = (await ingest.http.post("/v1/jobs", json=JOB)).json()
    assert made["submitted_by"] is None
    queue = queue_of("default", made["id"])
    assert queue is not None
    assert await broker.views.owner(queue, JobId(made["id"])) == ""
