"""Without the scope `payloads:read` no answer has a payload or a result, and no search tells of one."""

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import MSGPACK, Ingest, problem, unpacked

from millstream_contracts import DEFAULT_TENANT, JobType, MintedKey, Role, TypePolicy, TypeRegistration
from millstream_streams import Broker

SECRET = "canary-4711"


@pytest.fixture
async def viewer(give: Give) -> MintedKey:
    """Store a key that may read jobs, and no payloads."""
    return await give(Role.VIEWER)


async def seeded(ingest: Ingest, admin: MintedKey) -> str:
    """Store what has payloads: a job, a template, a schedule and a workflow. Return the id of the job."""
    payload = {"token": SECRET, "payload": {"deep": SECRET}}
    job = {"type": "email.send", "payload": payload}
    headers = bearer(admin)
    stored = await ingest.http.post("/v1/jobs", json=job, headers=headers)
    assert stored.status_code == 202
    for path, body in (
        ("/v1/templates/t", job),
        ("/v1/schedules/s", {"cron": "0 0 1 1 *", "job": job}),
    ):
        response = await ingest.http.put(path, json=body, headers=headers)
        assert response.status_code == 201, response.text
    workflow = {"name": "w", "nodes": {"a": {"type": "email.send", "payload": payload}}, "result": SECRET}
    response = await ingest.http.post("/v1/workflows", json=workflow, headers=headers)
    assert response.status_code in {201, 202}, response.text
    return str(stored.json()["id"])


async def test_no_answer_tells_a_viewer_a_payload(ingest: Ingest, admin: MintedKey, viewer: MintedKey):
    """Jobs, lists, templates, schedules and workflows are told without payloads to a viewer."""
    job_id = await seeded(ingest, admin)
    flows = (await ingest.http.get("/v1/workflows", headers=bearer(admin))).json()["items"]
    paths = {
        "/v1/jobs": False,
        f"/v1/jobs/{job_id}": True,
        "/v1/templates": True,
        "/v1/templates/t": True,
        "/v1/schedules": False,
        "/v1/schedules/s": True,
        "/v1/workflows": False,
        f"/v1/workflows/{flows[0]['id']}": False,
        f"/v1/jobs/{job_id}/explain": False,
    }
    for accept in ("application/json", MSGPACK):
        for path, has_payload in paths.items():
            headers = {"accept": accept}
            seen = await ingest.http.get(path, headers={**headers, **bearer(admin)})
            shown = await ingest.http.get(path, headers={**headers, **bearer(viewer)})
            assert (seen.status_code, shown.status_code) == (200, 200), path
            assert not has_payload or SECRET.encode() in seen.content, path
            assert SECRET.encode() not in shown.content, path
    found = unpacked(await ingest.http.get(f"/v1/jobs/{job_id}", headers={"accept": MSGPACK, **bearer(viewer)}))
    assert (found["id"], found["state"]) == (job_id, "queued")


async def test_names_that_users_have_chosen_are_told(
    ingest: Ingest, admin: MintedKey, viewer: MintedKey, give: Give, broker: Broker
):
    """A tag, a key, a node or a property of a schema may be called `payload` or `result`, and is told to a viewer."""
    names = ["logs", "patch", "payload", "result", "samples"]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    registrations = [
        TypeRegistration(type=JobType("email.send"), policy=TypePolicy(), payload_schema=schema, result_schema=schema),
        TypeRegistration(type=JobType("sms.send"), policy=TypePolicy()),
    ]
    await broker.registry.add_types(DEFAULT_TENANT, registrations)
    job = {"type": "sms.send", "payload": {"token": SECRET}, "tags": dict.fromkeys(names, "seen")}
    for path, body in (
        ("/v1/templates/t", job),
        ("/v1/schedules/s", {"cron": "0 0 1 1 *", "job": job}),
        ("/v1/queues/sms.send/limits", {"weights": dict.fromkeys(names, 2.0)}),
    ):
        put = await ingest.http.put(path, json=body, headers=bearer(admin))
        assert put.is_success, put.text
    for path, pointer in (
        ("/v1/types/email.send", ("payload_schema", "properties")),
        ("/v1/types/email.send", ("result_schema", "properties")),
        ("/v1/templates/t", ("tags",)),
        ("/v1/schedules/s", ("job", "tags")),
        ("/v1/queues/sms.send/settings", ("limits", "weights")),
    ):
        for headers in (bearer(viewer), {**bearer(admin), "Millstream-Secrets": "masked"}):
            shown = await ingest.http.get(path, headers=headers)
            assert shown.status_code == 200, shown.text
            found = shown.json()
            for step in pointer:
                found = found[step]
            assert sorted(found) == names, (path, pointer)
        assert SECRET not in (await ingest.http.get(path, headers=bearer(viewer))).text
    planner = await give("", scopes=["workflows:manage", "jobs:read"])
    workflow = {"name": "w", "nodes": {name: {"type": "sms.send", "payload": SECRET} for name in names}}
    for headers in (bearer(planner), {**bearer(planner), "Millstream-Secrets": "masked"}):
        accepted = await ingest.http.post("/v1/workflows", json=workflow, headers=headers)
        assert sorted(accepted.json()["nodes"]) == names
        assert all(one.startswith("sms.send_") for one in accepted.json()["nodes"].values())


async def test_answers_keep_their_form_without_payloads(ingest: Ingest, admin: MintedKey, viewer: MintedKey):
    """What a viewer gets has the fields that an administrator gets, so generated clients can read it."""
    await seeded(ingest, admin)
    for path in ("/v1/jobs", "/v1/jobs?state=queued&limit=1"):
        whole, bare = [
            (await ingest.http.get(path, headers=bearer(key))).json()["items"][0].keys() for key in (admin, viewer)
        ]
        assert whole == bare


async def test_submitter_reads_what_it_has_sent_and_nothing_of_others(ingest: Ingest, admin: MintedKey, give: Give):
    """The answer to a submission has its payload, and that about an earlier job of the same unique key has none."""
    submitter = await give(Role.SUBMITTER)
    unique = {"type": "email.send", "payload": {"token": SECRET}, "unique": {"key": "k", "on_conflict": "return"}}
    first = await ingest.http.post("/v1/jobs", json=unique, headers=bearer(admin))
    assert first.json()["payload"] == {"token": SECRET}
    other = await ingest.http.post("/v1/jobs", json={**unique, "payload": {"a": 1}}, headers=bearer(submitter))
    assert other.json()["id"] == first.json()["id"]
    assert SECRET not in other.text
    own = await ingest.http.post("/v1/jobs", json={"type": "a", "payload": {"b": 2}}, headers=bearer(submitter))
    assert own.json()["payload"] == {"b": 2}


@pytest.mark.parametrize("q", ["payload.token:canary*", "-RESULT.a:1", "state:dead has:result", '"payload":1'])
async def test_search_by_payloads_takes_the_right_to_read_them(
    remembering: Ingest, admin: MintedKey, viewer: MintedKey, q: str
):
    """A search, its facets and its hints by payload or result are refused to a viewer, because they would tell it."""
    for path in ("/v1/jobs", "/v1/jobs/search/facets", "/v1/jobs/search/hints"):
        refused = await remembering.http.get(path, params={"q": q}, headers=bearer(viewer))
        problem(refused, 403, "forbidden")
        allowed = await remembering.http.get(path, params={"q": q}, headers=bearer(admin))
        assert allowed.status_code != 403, path
        others = await remembering.http.get(path, params={"q": "state:dead"}, headers=bearer(viewer))
        assert others.status_code == 200, others.text
