"""A key that is narrowed to job types or networks does nothing beside them, whichever route it tries."""

import re
from typing import Any

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, patient, problem, running_ingest
from msgspec.structs import replace
from streams.seeds import seed_dead

from millstream_contracts import DEFAULT_TENANT, JobType, MintedKey, Queue, Role, Scope
from millstream_ingest.api.app import API_ROUTES
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker

MINE, OTHER = {"type": "email.send"}, {"type": "sms.send"}
HERE = ["127.0.0.0/8"]
ELSEWHERE = ["10.0.0.0/8", "2001:db8::/32"]


@pytest.fixture
async def mail(give: Give) -> dict[str, str]:
    """Return the header of a key that may do everything, for mail alone."""
    return bearer(await give(Role.ADMIN, types=["email.*"]))


async def made(ingest: Ingest, key: MintedKey, job: dict[str, str]) -> str:
    """Submit a job with a key and return its id."""
    return (await ingest.http.post("/v1/jobs", json=job, headers=bearer(key))).json()["id"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/"], ids=["fast path", "router"])
async def test_submission_of_another_type_is_refused(ingest: Ingest, admin: MintedKey, mail: dict[str, str], path: str):
    """A job of a narrowed type is taken by either door, and one of another type gets a 403 and is not stored."""
    assert (await ingest.http.post(path, json=MINE, headers=mail)).status_code == 202
    refused = problem(await ingest.http.post(path, json=OTHER, headers=mail), 403, "forbidden")
    assert "`email.*`" in refused["detail"]
    assert "`sms.send`" in refused["detail"]
    jobs = (await ingest.http.get("/v1/jobs", headers=bearer(admin))).json()["items"]
    assert [job["type"] for job in jobs] == ["email.send"]


async def test_items_of_another_type_are_refused_one_by_one(ingest: Ingest, admin: MintedKey, mail: dict[str, str]):
    """Of many jobs those of other types are refused, and all of them where the request is strict."""
    body = {"jobs": [MINE, OTHER, MINE]}
    receipt = (await ingest.http.post("/v1/jobs/batch", json=body, headers=mail)).json()
    assert [item["status"] for item in receipt["items"]] == [202, 403, 202]
    strict = await ingest.http.post("/v1/jobs/batch", json=body, headers={**mail, "Prefer": "handling=strict"})
    problem(strict, 422, "invalid-request")
    jobs = (await ingest.http.get("/v1/jobs", headers=bearer(admin))).json()["items"]
    assert [job["type"] for job in jobs] == ["email.send"] * 2


async def test_type_of_a_template_counts(ingest: Ingest, admin: MintedKey, mail: dict[str, str]):
    """A template cannot lend its type to a key that is not for it."""
    put = await ingest.http.put("/v1/templates/text", json=OTHER, headers=bearer(admin))
    assert put.status_code in {200, 201}, put.text
    problem(await ingest.http.post("/v1/jobs", json={"template": "text"}, headers=mail), 403, "forbidden")


async def test_job_of_another_type_is_as_unknown_as_one_that_never_was(
    ingest: Ingest, admin: MintedKey, mail: dict[str, str]
):
    """Routes of one job answer for narrowed types, and with the 404 of an unknown job for others."""
    mine, other = await made(ingest, admin, MINE), await made(ingest, admin, OTHER)
    assert (await ingest.http.get(f"/v1/jobs/{mine}", headers=mail)).status_code == 200
    assert (await ingest.http.post(f"/v1/jobs/{mine}/cancel", headers=mail)).status_code == 202
    unknown = await ingest.http.get(f"/v1/jobs/{other[:-4]}0000", headers=mail)
    refused = await ingest.http.get(f"/v1/jobs/{other}", headers=mail)
    assert problem(refused, 404, "job-not-found")["detail"] == problem(unknown, 404, "job-not-found")["detail"]
    problem(await ingest.http.post(f"/v1/jobs/{other}/cancel", headers=mail), 404, "job-not-found")
    assert (await ingest.http.get(f"/v1/jobs/{other}", headers=bearer(admin))).json()["state"] == "queued"


async def test_lists_and_events_are_of_the_types_of_the_key(ingest: Ingest, admin: MintedKey, mail: dict[str, str]):
    """A list that names another type is refused, and so is a stream of events that names none of the narrowed ones."""
    mine, other = await made(ingest, admin, MINE), await made(ingest, admin, OTHER)
    jobs = (await ingest.http.get("/v1/jobs", params={"type": "email.send"}, headers=mail)).json()["items"]
    assert [job["id"] for job in jobs] == [mine]
    async with ingest.http.stream("GET", "/v1/events", params={"type": "email.send"}, headers=mail) as stream:
        assert stream.status_code == 200
    for path, params in (
        ("/v1/jobs", {"type": "sms.send"}),
        ("/v1/events", {"type": "sms.send"}),
        ("/v1/events", {}),
        ("/v1/dead/groups", {"type": "sms.send"}),
    ):
        problem(await ingest.http.get(path, params=params, headers=mail), 403, "forbidden")
    problem(await ingest.http.get("/v1/events", params={"job": other}, headers=mail), 403, "forbidden")


async def seeded(ingest: Ingest, admin: MintedKey) -> dict[str, str]:
    """Have there be one of everything that has job types, of another one. Return what stands in paths."""
    http, headers = ingest.http, bearer(admin)
    assert (await http.put("/v1/templates/text", json=OTHER, headers=headers)).status_code == 201
    schedule = {"every_s": 3600, "job": OTHER}
    assert (await http.put("/v1/schedules/text", json=schedule, headers=headers)).status_code == 201
    workflow = await http.post("/v1/workflows", json={"name": "a", "nodes": {"b": OTHER}}, headers=headers)
    batch = await http.post("/v1/batches", json={"name": "a", "jobs": [OTHER], "open": True}, headers=headers)
    return {
        "job_id": await made(ingest, admin, OTHER),
        "job_type": OTHER["type"],
        "template": "text",
        "schedule": "text",
        "workflow_id": workflow.json()["id"],
        "batch_id": batch.json()["id"],
    }


async def test_every_route_is_refused_for_what_is_of_another_type(
    ingest: Ingest, admin: MintedKey, mail: dict[str, str]
):
    """No route answers a narrowed key about what is of another type: each is tried with what there is of one."""
    places, answered, lists = await seeded(ingest, admin), set(), []
    for route in API_ROUTES:
        if route.scope in {Scope.PUBLIC, Scope.AUTHENTICATED}:
            continue
        names = {name: places.get(name, "none") for name in re.findall(r"{(\w+)}", route.path)}
        for method in route.methods:
            response = await ingest.http.request(method, route.path.format(**names), headers=mail)
            if method in {"GET", "HEAD"} and response.status_code == 422:
                # Without a history; tests of their own have one.
                continue
            if response.status_code == 200:
                lists.append(response.json() if method == "GET" else {"items": []})
            elif response.status_code not in {403, 404}:
                answered.add((method, route.path, response.status_code))
    assert [found["items"] for found in lists] == [[]] * len(lists)
    # These read a body first, of which there is none; an operation is looked for in a history, of which there is none.
    by_body = {(method, path) for method, path, _ in answered if not path.startswith("/v1/operations")}
    assert by_body == {
        ("POST", "/v1/jobs"),
        ("POST", "/v1/jobs/batch"),
        ("POST", "/v1/batches"),
        ("POST", "/v1/workflows"),
        ("POST", "/v1/dead/redrive"),
        ("POST", "/v1/dead/discard"),
    }
    assert {status for _, _, status in answered} <= {400, 415, 422}


async def test_schedules_are_kept_apart_by_type(ingest: Ingest, admin: MintedKey, mail: dict[str, str]):
    """A narrowed key makes, reads, changes and removes schedules of its types; others it neither sees nor replaces."""
    await seeded(ingest, admin)
    mine = {"every_s": 3600, "job": MINE}
    for path in ("/v1/schedules/mail", "/v1/schedules/mail/preview"):
        foreign = {**mine, "job": OTHER}
        ask = ingest.http.post if path.endswith("preview") else ingest.http.put
        refused = problem(await ask(path, json=foreign, headers=mail), 403, "forbidden")
        assert [error["pointer"] for error in refused["errors"]] == ["/job/type"]
        # A template cannot lend its type.
        borrowed = {**mine, "job": {"template": "text"}}
        problem(await ask(path, json=borrowed, headers=mail), 403, "forbidden")
        assert (await ask(path, json=mine, headers=mail)).status_code in {200, 201}
    problem(await ingest.http.put("/v1/schedules/text", json=mine, headers=mail), 403, "forbidden")
    for verb in ("", "/next", "/backfills"):
        problem(await ingest.http.get(f"/v1/schedules/text{verb}", headers=mail), 404, "schedule-not-found")
        assert (await ingest.http.get(f"/v1/schedules/mail{verb}", headers=mail)).status_code == 200
    listed = (await ingest.http.get("/v1/schedules", headers=mail)).json()["items"]
    assert [one["name"] for one in listed] == ["mail"]
    problem(await ingest.http.get("/v1/schedules", params={"type": "sms.send"}, headers=mail), 403, "forbidden")
    run = await ingest.http.post("/v1/schedules/mail/run", headers=mail)
    assert (await ingest.http.get(f"/v1/jobs/{run.json()['job']}", headers=mail)).json()["type"] == "email.send"
    assert (await ingest.http.delete("/v1/schedules/mail", headers=mail)).status_code == 200
    problem(await ingest.http.delete("/v1/schedules/text", headers=mail), 404, "schedule-not-found")
    assert (await ingest.http.get("/v1/schedules/text", headers=bearer(admin))).json()["job"]["type"] == "sms.send"


async def test_templates_are_kept_apart_by_type(ingest: Ingest, admin: MintedKey, mail: dict[str, str]):
    """A narrowed key makes, lists, reads and removes templates of its types, and replaces no other one."""
    await seeded(ingest, admin)
    refused = problem(await ingest.http.put("/v1/templates/mail", json=OTHER, headers=mail), 403, "forbidden")
    assert [error["pointer"] for error in refused["errors"]] == ["/type"]
    problem(await ingest.http.put("/v1/templates/text", json=MINE, headers=mail), 403, "forbidden")
    assert (await ingest.http.put("/v1/templates/mail", json=MINE, headers=mail)).status_code == 201
    listed = (await ingest.http.get("/v1/templates", headers=mail)).json()["items"]
    assert [one["name"] for one in listed] == ["mail"]
    problem(await ingest.http.get("/v1/templates/text", headers=mail), 404, "template-not-found")
    problem(await ingest.http.delete("/v1/templates/text", headers=mail), 404, "template-not-found")
    assert (await ingest.http.delete("/v1/templates/mail", headers=mail)).status_code == 200
    assert (await ingest.http.get("/v1/templates/text", headers=bearer(admin))).json()["type"] == "sms.send"


async def test_workflow_with_one_foreign_node_is_refused_whole(ingest: Ingest, admin: MintedKey, mail: dict[str, str]):
    """Each node of a workflow has to be of the types of a narrowed key, to submit it as to read and steer it."""
    places = await seeded(ingest, admin)
    mixed = {"name": "a", "nodes": {"first": MINE, "second": {**OTHER, "after": ["first"]}}}
    refused = problem(await ingest.http.post("/v1/workflows", json=mixed, headers=mail), 403, "forbidden")
    assert [error["pointer"] for error in refused["errors"]] == ["/nodes/second/type"]
    own = await ingest.http.post("/v1/workflows", json={"name": "a", "nodes": {"b": MINE}}, headers=mail)
    assert own.status_code == 202
    theirs = await ingest.http.post("/v1/workflows", json=mixed, headers=bearer(admin))
    for workflow_id in (places["workflow_id"], theirs.json()["id"]):
        path = f"/v1/workflows/{workflow_id}"
        for ask in (ingest.http.get(path, headers=mail), ingest.http.post(f"{path}/cancel", headers=mail)):
            problem(await ask, 404, "workflow-not-found")
        assert (await ingest.http.get(path, headers=bearer(admin))).json()["workflow"]["state"] == "running"
    path = f"/v1/workflows/{own.json()['id']}"
    assert (await ingest.http.get(path, headers=mail)).status_code == 200
    assert (await ingest.http.post(f"{path}/cancel", headers=mail)).status_code == 200


async def test_narrowed_key_makes_and_follows_its_own_batches(ingest: Ingest, admin: MintedKey, mail: dict[str, str]):
    """A narrowed key makes batches of its types alone, callbacks included, and follows, fills and ends its own."""
    places = await seeded(ingest, admin)
    batch = {"name": "a", "jobs": [MINE], "open": True}
    callback = await ingest.http.post("/v1/batches", json={**batch, "on_success": OTHER}, headers=mail)
    assert [error["pointer"] for error in problem(callback, 403, "forbidden")["errors"]] == ["/on_success/type"]
    member = await ingest.http.post("/v1/batches", json={**batch, "jobs": [MINE, OTHER]}, headers=mail)
    assert [error["pointer"] for error in problem(member, 422, "invalid-request")["errors"]] == ["/jobs/1/type"]
    made = await ingest.http.post("/v1/batches", json={**batch, "on_success": MINE}, headers=mail)
    path = f"/v1/batches/{made.json()['id']}"
    added = await ingest.http.post(f"{path}/jobs", json={"jobs": [MINE, OTHER]}, headers=mail)
    assert [item["status"] for item in added.json()["items"]] == [202, 403]
    assert len((await ingest.http.get(f"{path}/jobs", headers=mail)).json()["items"]) == 2
    for verb in ("close", "cancel"):
        assert (await ingest.http.post(f"{path}/{verb}", headers=mail)).status_code == 200
        theirs = f"/v1/batches/{places['batch_id']}/{verb}"
        problem(await ingest.http.post(theirs, headers=mail), 404, "batch-not-found")


async def test_dead_letters_are_kept_apart_by_type(
    ingest: Ingest, admin: MintedKey, mail: dict[str, str], broker: Broker
):
    """A narrowed key lists, redrives and discards dead jobs of its types; others are unknown to it, and stay dead."""
    mine, other = [await seed_dead(broker, Queue(DEFAULT_TENANT, JobType(job["type"]))) for job in (MINE, OTHER)]
    for job_type, ids in (("email.send", [mine]), ("sms.send", None)):
        listed = await ingest.http.get("/v1/dead", params={"type": job_type}, headers=mail)
        if ids is None:
            problem(listed, 403, "forbidden")
        else:
            assert listed.status_code == 200
    for verb in ("redrive", "discard"):
        path = f"/v1/dead/{verb}"
        problem(await ingest.http.post(path, json={"type": "sms.send"}, headers=mail), 403, "forbidden")
    report = (await ingest.http.post("/v1/dead/redrive", json={"ids": [other, mine]}, headers=mail)).json()
    assert [(one["id"], one["status"]) for one in report["items"]] == [(other, 404), (mine, 202)]
    states = [
        (await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(admin))).json()["state"] for job_id in (mine, other)
    ]
    assert states == ["queued", "dead"]


async def test_operations_are_kept_apart_by_type(remembering: Ingest, admin: MintedKey, mail: dict[str, str]):
    """A narrowed key starts operations on ids and groups of its types, reads and steers these, and no others."""
    mine, other = await made(remembering, admin, MINE), await made(remembering, admin, OTHER)
    http = remembering.http
    group = {"fingerprint": "f"}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"kind": "cancel", "ids": [mine, other]}, "/ids/1"),
        ({"kind": "redrive", "group": {**group, **OTHER}}, "/group/type"),
        ({"kind": "redrive", "q": "type:email.send"}, "/q"),
    ]
    for asked, pointer in refused:
        found = problem(await http.post("/v1/operations", json=asked, headers=mail), 403, "forbidden")
        assert [error["pointer"] for error in found["errors"]] == [pointer]
        theirs = await http.post("/v1/operations", json=asked, headers=bearer(admin))
        path = f"/v1/operations/{theirs.json()['id']}"
        problem(await http.get(path, headers=mail), 404, "not-found")
        for verb in ("pause", "resume", "cancel"):
            problem(await http.post(f"{path}/{verb}", headers=mail), 404, "not-found")
        assert (await http.get(path, headers=bearer(admin))).json()["state"] == "pending"
    for asked in ({"kind": "cancel", "ids": [mine]}, {"kind": "redrive", "group": {**group, **MINE}}):
        own = await http.post("/v1/operations", json=asked, headers=mail)
        path = f"/v1/operations/{own.json()['id']}"
        assert (await http.get(path, headers=mail)).status_code == 200
        assert (await http.post(f"{path}/cancel", headers=mail)).status_code == 200
    listed = (await http.get("/v1/operations", headers=mail)).json()["items"]
    assert [one["jobs"] for one in listed] == [None, 1]


async def test_key_tells_what_it_is_narrowed_to(ingest: Ingest, admin: MintedKey):
    """What a key is narrowed to is shown when it is made, in lists, and to itself; its successor has it too."""
    asked = {"name": "a", "role": "submitter", "types": ["email.*", "sms.send"], "networks": HERE}
    new = (await ingest.http.post("/v1/keys", json=asked, headers=bearer(admin))).json()
    shown = (await ingest.http.get(f"/v1/keys/{new['id']}", headers=bearer(admin))).json()
    me = (await ingest.http.get("/v1/me", headers=bearer(new["key"]))).json()
    rotated = await ingest.http.post(f"/v1/keys/{new['id']}/rotate", json={}, headers=bearer(admin))
    for one in (new, shown, me, rotated.json()):
        assert (one["types"], one["networks"]) == (asked["types"], HERE)


async def test_narrowing_that_cannot_be_meant_is_refused(ingest: Ingest, admin: MintedKey):
    """A pattern or a network that is none is refused with its place, and no key is made."""
    patterns = (["Email"], ["email.[a-z]*"], ["email.?"], [""], ["a"] * 33)
    networks = (["10.0.0.0/99"], ["10.0.0.1/8"], ["example.com"])
    wrong = [("types", one) for one in patterns] + [("networks", one) for one in networks]
    for name, value in wrong:
        body = {"name": "a", "role": "viewer", name: value}
        refused = problem(await ingest.http.post("/v1/keys", json=body, headers=bearer(admin)), 422, "invalid-request")
        assert f"/{name}" in refused["errors"][0]["pointer"], value


async def test_key_works_from_its_networks_alone(ingest: Ingest, give: Give):
    """A key that is narrowed to networks works from them, and gets a 403 from elsewhere, whatever headers it sends."""
    here, elsewhere = await give(Role.ADMIN, networks=HERE), await give(Role.ADMIN, networks=ELSEWHERE)
    for _ in range(2):
        assert (await ingest.http.get("/v1/me", headers=bearer(here))).status_code == 200
        forged = {**bearer(elsewhere), "X-Forwarded-For": "10.1.2.3", "Forwarded": "for=10.1.2.3"}
        refused = await ingest.http.get("/v1/me", headers=forged)
        assert "127.0.0.1" in problem(refused, 403, "forbidden")["detail"]
    metrics = (await ingest.http.get("/metrics")).text
    assert 'millstream_auth_refused_total{reason="network"} 2' in metrics


async def test_networks_are_of_clients_behind_trusted_proxies(settings: IngestSettings, give: Give):
    """Behind a trusted proxy a key works for clients whose address the proxy tells, and not for others."""
    key = bearer(await give(Role.ADMIN, networks=ELSEWHERE))
    async with running_ingest(patient(replace(settings, trusted_proxies=tuple(HERE)))) as ingest:
        for told, status in (("10.1.2.3", 200), ("6.6.6.6, 2001:db8::1", 200), ("10.1.2.3, 6.6.6.6", 403), ("x", 403)):
            response = await ingest.http.get("/v1/me", headers={**key, "X-Forwarded-For": told})
            assert response.status_code == status, told


async def test_failed_attempts_are_counted_by_the_client_behind_a_proxy(settings: IngestSettings, give: Give):
    """One client that guesses keys does not have the others behind its proxy refused."""
    key = bearer(await give(Role.ADMIN))
    async with running_ingest(patient(replace(settings, trusted_proxies=tuple(HERE)))) as ingest:
        wrong = {**bearer("ms_nonsense"), "X-Forwarded-For": "10.9.9.9"}
        answers = {(await ingest.http.get("/v1/me", headers=wrong)).status_code for _ in range(60)}
        assert answers == {401, 429}
        other = {**bearer("ms_nonsense"), "X-Forwarded-For": "10.8.8.8"}
        problem(await ingest.http.get("/v1/me", headers=other), 401, "unauthenticated")
        assert (await ingest.http.get("/v1/me", headers=key)).status_code == 200


async def test_key_gives_no_more_networks_than_it_has(ingest: Ingest, admin: MintedKey, give: Give):
    """A key that is narrowed to networks makes and rotates only keys that are narrowed as much."""
    maker = bearer(await give(Role.ADMIN, networks=HERE))
    free = await give(Role.VIEWER)
    for networks, status in (([], 403), (["0.0.0.0/0"], 403), ([*HERE, "::1/128"], 403), (["127.1.0.0/16"], 201)):
        body = {"name": "a", "role": "viewer", "networks": networks}
        assert (await ingest.http.post("/v1/keys", json=body, headers=maker)).status_code == status, networks
    problem(await ingest.http.post(f"/v1/keys/{free.id}/rotate", json={}, headers=maker), 403, "forbidden")


async def test_session_is_narrowed_as_its_key_is(ingest: Ingest, give: Give):
    """A session of a narrowed key is for the same job types, and from the same networks."""
    key = bearer(await give(Role.ADMIN, types=["email.*"], networks=HERE))
    opened = await ingest.http.post("/v1/sessions", json={}, headers=key)
    assert opened.status_code == 201, opened.text
    session = bearer(opened.json()["token"])
    me = (await ingest.http.get("/v1/me", headers=session)).json()
    assert (me["types"], me["networks"]) == (["email.*"], HERE)
    problem(await ingest.http.post("/v1/jobs", json=OTHER, headers=session), 403, "forbidden")
    assert (await ingest.http.post("/v1/jobs", json=MINE, headers=session)).status_code == 202


async def test_networks_that_cannot_be_read_are_nowhere(ingest: Ingest, give: Give):
    """A stored network that is none narrows a key to nowhere, and stops no other key."""
    problem(await ingest.http.get("/v1/me", headers=bearer(await give(Role.ADMIN, networks=["x"]))), 403, "forbidden")
    assert (await ingest.http.get("/v1/me", headers=bearer(await give(Role.ADMIN)))).status_code == 200
