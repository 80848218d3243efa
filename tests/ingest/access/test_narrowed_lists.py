"""What is listed, searched or counted for a key for some job types is made of jobs of these types alone (ADR 128)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from history_databases import execute
from history_seeds import WORKER, events_of, store_at
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem
from streams.seeds import seed_dead

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
    TypePolicy,
    TypeRegistration,
    WorkflowId,
    WorkflowNode,
    WorkflowState,
    WorkflowStatus,
    ms_of,
    new_job_id,
)
from millstream_history import EndedWorkflow, open_history
from millstream_streams import Broker

MINE, OTHER = {"type": "email.send"}, {"type": "sms.send"}
FOREIGN = "canary-4711"
NOW = datetime.now(UTC)
LONG_AGO = datetime(2026, 11, 1, 12, tzinfo=UTC)
ENDED = [(EventKind.SUBMITTED, "queued"), (EventKind.STARTED, "running"), (EventKind.SUCCEEDED, "succeeded")]


@pytest.fixture
async def mail(give: Give) -> dict[str, str]:
    """Return the header of a key that may do everything, for mail alone."""
    return bearer(await give(Role.ADMIN, types=["email.*"]))


async def walked(
    ingest: Ingest, path: str, headers: dict[str, str], *, is_exact: bool = True, **query: str
) -> list[dict[str, Any]]:
    """Return all items of a list, read one a page. In an exact one a cursor says that there is a further item."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {**query, "limit": "1", **({"cursor": cursor} if cursor else {})}
        response = await ingest.http.get(path, params=params, headers=headers)
        assert response.status_code == 200, response.text
        page = response.json()
        assert not is_exact or len(page["items"]) == 1 or (not found and page["next_cursor"] is None), path
        found += page["items"]
        cursor = page["next_cursor"]
    return found


async def past_workflow(broker: Broker, history_url: str, minutes: int, *types: str) -> WorkflowId:
    """Have there be a workflow that only the history has, with nodes of these types. Return its id."""
    at = LONG_AGO + timedelta(minutes=minutes)
    status = WorkflowStatus(
        id=broker.workflows.new_id(DEFAULT_TENANT, ms_of(at)),
        name="a",
        state=WorkflowState.SUCCEEDED,
        counts={NodeState.SUCCEEDED: len(types)},
        created_at=at,
        finished_at=at,
    )
    nodes = [WorkflowNode(name=f"n{at}", type=one, state=NodeState.SUCCEEDED) for at, one in enumerate(types)]
    ended = EndedWorkflow(
        tenant=DEFAULT_TENANT, status=status, place=float(ms_of(at)), turn=ms_of(at) * 1000, nodes=nodes
    )
    async with open_history(history_url) as history:
        await history.workflows.store([ended])
    return status.id


async def past_job(history_url: str, job_type: str, **fields: Any) -> JobId:
    """Have there be a job that only the history has. Return its id."""
    queue = Queue(DEFAULT_TENANT, JobType(job_type))
    now = datetime.now(UTC)
    at_ms = ms_of(now) - 600_000
    basic = {"state": JobState.SUCCEEDED, "version": 3, "deliveries": 1, "created_at": now, "worker": WORKER}
    job = Job(id=new_job_id(queue, at_ms), type=queue.type, **{**basic, **fields})
    await store_at(history_url, queue, job, events_of(job, ENDED, at_ms=at_ms))
    return job.id


async def test_workflows_are_listed_by_the_types_of_their_nodes(
    remembering: Ingest, admin: MintedKey, mail: dict[str, str], broker: Broker, history_url: str
):
    """Each page has workflows all of whose nodes are of the types of a key, of Redis and the history, and no others."""
    http = remembering.http
    mixed = {"name": "a", "nodes": {"b": MINE, "c": OTHER}}
    bodies = [{"name": "a", "nodes": {"b": one}} for one in (OTHER, MINE, OTHER, OTHER, MINE, OTHER)] + [mixed]
    live = [(await http.post("/v1/workflows", json=body, headers=bearer(admin))).json()["id"] for body in bodies]
    past = [
        await past_workflow(broker, history_url, minutes, *types)
        for minutes, types in enumerate(
            [["sms.send"], ["email.send"], ["email.send", "sms.send"], ["email.a", "email.b"], ["sms.send"], []]
        )
    ]
    own = [live[4], live[1], past[3], past[1]]
    assert [one["id"] for one in await walked(remembering, "/v1/workflows", mail)] == own
    everything = [one["id"] for one in await walked(remembering, "/v1/workflows", bearer(admin), is_exact=False)]
    assert everything == [*live[::-1], *past[::-1]]
    for workflow_id in everything:
        read = await http.get(f"/v1/workflows/{workflow_id}", headers=mail)
        if workflow_id in own:
            assert read.status_code == 200
        else:
            problem(read, 404, "workflow-not-found")


async def test_batches_are_listed_by_who_has_made_them(ingest: Ingest, admin: MintedKey, give: Give):
    """A narrowed key lists the batches that it has made, page by page, and a cursor tells of no others."""
    mine, theirs = await give(Role.OPERATOR, types=["email.*"]), await give(Role.OPERATOR, types=["email.*"])
    body, made = {"name": "a", "jobs": [MINE]}, []
    for key in (theirs, mine, admin, mine, theirs):
        batch = await ingest.http.post("/v1/batches", json=body, headers=bearer(key))
        made.append((key.id, batch.json()["id"]))
    own = [batch_id for key_id, batch_id in made if key_id == mine.id]
    assert [one["id"] for one in await walked(ingest, "/v1/batches", bearer(mine))] == own[::-1]
    everything = [one["id"] for one in await walked(ingest, "/v1/batches", bearer(admin), is_exact=False)]
    assert everything == [batch_id for _, batch_id in reversed(made)]


async def test_operations_are_listed_by_their_types(
    remembering: Ingest, admin: MintedKey, mail: dict[str, str], history_url: str
):
    """A narrowed key lists operations on its types alone; a search is about all, also an erasure whose text is gone."""
    http, headers = remembering.http, bearer(admin)
    jobs = [(await http.post("/v1/jobs", json=one, headers=headers)).json()["id"] for one in (MINE, OTHER)]
    asked: list[dict[str, Any]] = [
        {"kind": "cancel", "ids": [jobs[0]]},
        {"kind": "cancel", "ids": jobs},
        {"kind": "redrive", "q": "type:email.send"},
        {"kind": "redrive", "group": {"fingerprint": "f", **MINE}},
        {"kind": "redrive", "group": {"fingerprint": "f", **OTHER}},
        {"kind": "erase", "q": "type:email.send"},
    ]
    made = [(await http.post("/v1/operations", json=one, headers=headers)).json()["id"] for one in asked]
    await execute(history_url, f"UPDATE operations SET asked = asked - 'q', query = NULL WHERE id = '{made[5]}'")
    assert [one["id"] for one in await walked(remembering, "/v1/operations", mail)] == [made[3], made[0]]
    problem(await http.get(f"/v1/operations/{made[5]}", headers=mail), 404, "not-found")


async def test_jobs_dead_letters_queues_and_types_are_listed_by_type(
    ingest: Ingest, admin: MintedKey, mail: dict[str, str], broker: Broker
):
    """Without `?type=` a narrowed key gets what there is of its types, and the cursor goes on in these alone."""
    dead = [await seed_dead(broker, Queue(DEFAULT_TENANT, JobType(one["type"]))) for one in (OTHER, MINE)]
    for one in (OTHER, MINE, {"type": "email.a"}, OTHER):
        await ingest.http.post("/v1/jobs", json=one, headers=bearer(admin))
    policy = TypePolicy()
    registered = [TypeRegistration(type=JobType(one), policy=policy) for one in ("email.send", "sms.send", "tel.ring")]
    await broker.registry.add_types(DEFAULT_TENANT, registered)
    jobs = await walked(ingest, "/v1/jobs", mail, is_exact=False)
    assert sorted(job["type"] for job in jobs) == ["email.a", "email.send", "email.send"]
    assert [one["id"] for one in await walked(ingest, "/v1/dead", mail, is_exact=False)] == [dead[1]]
    assert [one["type"] for one in await walked(ingest, "/v1/queues", mail)] == ["email.a", "email.send"]
    assert [one["type"] for one in await walked(ingest, "/v1/types", mail)] == ["email.send"]
    unknown = await ingest.http.get("/v1/types/email.sms.send", headers=mail)
    assert "`sms.send`" not in problem(unknown, 404, "not-found")["detail"]
    for path in ("/v1/jobs", "/v1/dead"):
        problem(await ingest.http.get(path, params={"type": "sms.send"}, headers=mail), 403, "forbidden")


async def test_groups_of_dead_jobs_are_of_the_types_of_the_key(
    remembering: Ingest, admin: MintedKey, mail: dict[str, str], history_url: str
):
    """Errors are grouped of a narrowed key's types alone, with their trends, live jobs and releases."""
    error = JobError("E", "refused", fingerprint="f")
    for job_type in ("sms.send", "email.send", "sms.send", "email.a"):
        await past_job(history_url, job_type, state=JobState.DEAD, error=error, finished_at=NOW)
    params = {"live": "1", "releases": "1"}
    for headers, types in ((mail, {"email.send", "email.a"}), (bearer(admin), {"email.send", "email.a", "sms.send"})):
        for since in ({}, {"since": f"{NOW - timedelta(hours=12):%Y-%m-%dT%H:%M:%SZ}"}):
            found = await remembering.http.get("/v1/dead/groups", params={**params, **since}, headers=headers)
            assert found.status_code == 200, found.text
            assert {(one["type"], one["count"]) for one in found.json()["items"]} == {
                (one, 2 if one == "sms.send" else 1) for one in types
            }


@pytest.mark.parametrize(
    "q", ["", "state:succeeded", "type:*", "type:email.send,sms.send", "-type:email.a", "worker:host*"]
)
async def test_searches_find_jobs_of_the_types_of_the_key(
    remembering: Ingest, admin: MintedKey, mail: dict[str, str], history_url: str, broker: Broker, q: str
):
    """Whatever a search asks for, its pages, count and cursors, and its facets, are of the types of a narrowed key."""
    http = remembering.http
    for one in (MINE, OTHER):
        await http.post("/v1/jobs", json=one, headers=bearer(admin))
    for _ in range(3):
        await past_job(history_url, "sms.send", tags={"k": FOREIGN})
    own = [await past_job(history_url, "email.send", tags={"k": "fine"}) for _ in range(2)]
    found = await walked(remembering, "/v1/jobs", mail, is_exact=False, q=q)
    assert {one["id"] for one in found} == set(own)
    counted = (await http.get("/v1/jobs", params={"q": q, "count": "1"}, headers=mail)).json()
    assert counted["count"]["value"] == len(own)
    facets = await http.get("/v1/jobs/search/facets", params={"q": q}, headers=mail)
    assert (facets.status_code, facets.json()["count"]["value"]) == (200, len(own))
    assert "sms.send" in q or "sms.send" not in facets.text
    assert FOREIGN not in facets.text
    whole = await http.get("/v1/jobs", params={"q": q, "limit": "1"}, headers=bearer(admin))
    foreign = {"q": q, "limit": "1", "cursor": whole.json()["next_cursor"]}
    assert not (await http.get("/v1/jobs", params=foreign, headers=mail)).is_success


async def test_search_for_a_foreign_type_finds_nothing_and_tells_nothing(
    remembering: Ingest, admin: MintedKey, mail: dict[str, str], history_url: str
):
    """A search for another type is answered as one for a type that never was, and no hint names one."""
    await remembering.http.post("/v1/jobs", json=OTHER, headers=bearer(admin))
    await past_job(history_url, "sms.send")
    for asked in ("type:sms.send", "type:sms.sen", "type:sms.*"):
        params = {"q": asked, "count": "1"}
        found = (await remembering.http.get("/v1/jobs", params=params, headers=mail)).json()
        assert (found["items"], found["count"]) == ([], {"value": 0, "relation": "exact"})
        assert "did you mean" not in found["hint"]
    for path in ("/v1/jobs", "/v1/jobs/search/facets"):
        params = {"type": "sms.send", "q": "state:dead"}
        problem(await remembering.http.get(path, params=params, headers=mail), 403, "forbidden")


async def test_hints_are_of_jobs_of_the_types_of_the_key(
    remembering: Ingest, admin: MintedKey, mail: dict[str, str], history_url: str
):
    """Hints name the types, the fields and the values of a narrowed key's types, whichever type a query names."""
    for one in (MINE, OTHER):
        await remembering.http.post("/v1/jobs", json=one, headers=bearer(admin))
    await past_job(history_url, "sms.send", tags={FOREIGN: FOREIGN}, payload={FOREIGN: FOREIGN})
    await past_job(history_url, "email.send", tags={"customer": "acme"}, payload={"to": "ann"})
    for q, hinted in (
        ("type:", ["email.send"]),
        ("tag.", ["tag.customer:"]),
        ("tag.customer:", ["acme"]),
        ("type:email.send payload.", ["payload.to:"]),
        ("type:sms.send payload.", []),
        (f"tag.{FOREIGN}:", []),
    ):
        hints = await remembering.http.get("/v1/jobs/search/hints", params={"q": q}, headers=mail)
        assert [one["text"] for one in hints.json()["items"]] == hinted, q


async def test_statistics_are_sums_over_the_types_of_the_key(
    remembering: Ingest, admin: MintedKey, mail: dict[str, str], history_url: str
):
    """Points, totals by type and gaps are of the types of a narrowed key; releases, which are of none, are left out."""
    for job_type in ("sms.send", "email.send", "email.send", "email.a"):
        await past_job(history_url, job_type)
    for job_type in ("sms.send", "email.a"):
        begin = "now() - interval '5 minutes'" if job_type == "email.a" else "now() - interval '20 minutes'"
        await execute(
            history_url,
            "INSERT INTO event_gaps (tenant, type, partition, first_at, last_at) "
            f"VALUES ('default', '{job_type}', 0, {begin}, {begin})",
        )
    await execute(history_url, "UPDATE worker_spans SET release = 'r1'")
    seen, params = {}, {"from": "30m", "step": "5m"}
    for name, headers in (("mail", mail), ("admin", bearer(admin))):
        stats = (await remembering.http.get("/v1/stats", params=params, headers=headers)).json()
        types = (await remembering.http.get("/v1/stats/types", params=params, headers=headers)).json()
        assert len(stats["gaps"]) == len(types["gaps"])
        submitted = sum(point["submitted"] for point in stats["points"])
        seen[name] = (submitted, [one["type"] for one in types["items"]], len(stats["gaps"]))
    assert seen == {"mail": (3, ["email.send", "email.a"], 1), "admin": (4, ["email.send", "email.a", "sms.send"], 2)}
    refused = await remembering.http.get("/v1/stats", params={"type": "sms.send"}, headers=mail)
    assert [error["pointer"] for error in problem(refused, 403, "forbidden")["errors"]] == ["?type"]
