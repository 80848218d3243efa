"""What is of a tenant is to another as if it never was, also in streams of events and in the history."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from history_seeds import events_of, store_at
from ingest.access.conftest import bearer
from ingest.events.test_following import following
from ingest.serving import Ingest, problem, remembering_ingest
from ingest.tenants.test_isolation import CANARY, Place, seed, seen, try_routes
from ingest.tenants.test_tenants import ask, key_of, make
from msgspec.structs import replace
from waiting import wait_until

from millstream_contracts import (
    EventKind,
    Job,
    JobError,
    JobState,
    JobType,
    MintedKey,
    Queue,
    Role,
    Tenant,
    moment,
    new_job_id,
)
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker

JOB = {"type": "canary.type", "payload": {"text": CANARY}, "tags": {"who": CANARY}}
OWN = {"type": "own.type", "payload": None}
THEIRS = Queue(Tenant("acme"), JobType("canary.type"))
FINGERPRINT = "canaryprint"


@pytest.fixture
async def remembering(
    broker: Broker, settings: IngestSettings, admin: MintedKey, history_url: str
) -> AsyncIterator[Ingest]:
    """Yield an ingest that asks for keys, has a history and can sign calls."""
    async with remembering_ingest(replace(settings, webhook_key=Secret("k" * 32)), history_url) as running:
        yield running


async def two_tenants(ingest: Ingest, admin: MintedKey, role: Role = Role.ADMIN) -> tuple[str, str]:
    """Make acme and globex. Return a key of each, that of globex with a role."""
    for name in ("acme", "globex"):
        await make(ingest, admin, name)
    return await key_of(ingest, admin, tenant="acme"), await key_of(ingest, admin, role, "globex")


async def test_streams_tell_nothing_of_another_tenant(ingest: Ingest, admin: MintedKey):
    """A stream of all events, of a type or of one job has nothing of another tenant, also of a type that both have."""
    acme, globex = await two_tenants(ingest, admin)
    theirs = (await ask(ingest, acme, "POST /v1/jobs", JOB)).json()["id"]
    headers = bearer(globex)
    # An id has no tenant in it: as that of a job of one's own that there is not, it is followed, and nothing comes.
    async with (
        following(ingest, headers=headers) as of_all,
        following(ingest, headers=headers, type="canary.type") as of_type,
        following(ingest, headers=headers, job=theirs) as of_job,
        following(ingest, headers=headers, last_seen="1-0") as since_long,
    ):
        followers = (of_all, of_type, of_job, since_long)
        assert (await ask(ingest, acme, f"POST /v1/jobs/{theirs}/cancel")).status_code == 202
        await ask(ingest, acme, "POST /v1/jobs", JOB)
        own = [(await ask(ingest, globex, "POST /v1/jobs", job)).json()["id"] for job in (JOB, OWN)]
        # What has happened at acme before is in these streams by now, if it is ever to be.
        await wait_until(lambda: {one.id for one in of_all.heard} >= set(own), "the events of globex came")
        await wait_until(lambda: {one.id for one in of_type.heard} >= {own[0]}, "also by type")
    assert {one.id for follower in followers for one in follower.heard} == set(own)
    assert of_job.heard == []


async def past(history_url: str) -> Job:
    """Have acme own a dead job that only the history knows."""
    at_ms = 1_795_000_000_000
    job = Job(
        id=new_job_id(THEIRS, at_ms),
        type=THEIRS.type,
        state=JobState.DEAD,
        version=3,
        deliveries=1,
        attempts=1,
        created_at=moment(at_ms),
        payload={"text": CANARY},
        tags={"who": CANARY},
        error=JobError("ValueError", CANARY, FINGERPRINT),
        reason="attempts",
    )
    steps = [(EventKind.SUBMITTED, "queued"), (EventKind.STARTED, "running"), (EventKind.DEAD, "dead")]
    await store_at(history_url, THEIRS, job, events_of(job, steps, at_ms=at_ms))
    return job


async def remembered(ingest: Ingest, key: str, history_url: str) -> dict[str, Place]:
    """Have acme own one of everything, also of what only a history has. Returns: what stands in paths."""
    places = await seed(ingest, key)
    job = await past(history_url)
    hook = {"url": "https://receiver.example/hook", "description": CANARY}
    made = await ask(ingest, key, "POST /v1/webhooks", hook)
    assert made.status_code == 201, made.text
    operation = {"kind": "redrive", "group": {"type": "canary.type", "fingerprint": CANARY}}
    started = await ask(ingest, key, "POST /v1/operations", operation)
    assert started.status_code == 202, started.text
    assert (await ask(ingest, key, f"GET /v1/jobs/{job.id}/timeline")).status_code == 200
    ids = {"job_id": job.id, "webhook_id": made.json()["id"], "operation_id": started.json()["id"]}
    return places | {name: Place(one, f"{one[:-1]}{'1' if one[-1] == '0' else '0'}") for name, one in ids.items()}


@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
async def test_history_tells_nothing_of_another_tenant(
    remembering: Ingest, admin: MintedKey, history_url: str, role: Role
):
    """With a history every route answers as for an id that never was, and no list, search or statistic has a trace."""
    acme, globex = await two_tenants(remembering, admin, role)
    places = await remembered(remembering, acme, history_url)
    await try_routes(remembering, globex, places)
    lines = [
        "/v1/jobs?q=state:dead",
        f"/v1/jobs?q=tag.who:{CANARY}&count=1",
        f"/v1/jobs?tag.who={CANARY}",
        f"/v1/jobs?q={places['job_id'].theirs}",
        "/v1/jobs/search/facets?q=state:dead",
        "/v1/jobs/search/hints?q=type:&at=5",
        "/v1/jobs/search/hints?q=tag.who:&at=8",
        "/v1/dead",
        "/v1/dead/groups",
        "/v1/stats",
        "/v1/stats?type=canary.type",
        "/v1/stats/types",
        "/v1/webhooks",
        "/v1/operations",
        "/v1/workflows?state=running",
        *(["/v1/audit"] if role is Role.ADMIN else []),
    ]
    for line in lines:
        found = await ask(remembering, globex, f"GET {line}")
        assert found.status_code == 200, (line, found.text)
        for trace in (CANARY, FINGERPRINT, *(place.theirs for place in places.values() if "_" in place.theirs)):
            # What was asked for may be said again.
            assert trace not in found.text.replace(line, ""), line
    points = (await ask(remembering, globex, "GET /v1/stats?type=canary.type")).json()["points"]
    assert {point[name] for point in points for name in ("submitted", "dead")} <= {0}


async def test_cursor_of_a_search_leads_into_one_tenant_alone(remembering: Ingest, admin: MintedKey, history_url: str):
    """A cursor of a search of another tenant goes on among one's own jobs, or is refused."""
    acme, globex = await two_tenants(remembering, admin)
    jobs = [await past(history_url) for _ in range(3)]
    line = "/v1/jobs?q=state:dead&limit=1"
    cursor = (await ask(remembering, acme, f"GET {line}")).json()["next_cursor"]
    assert cursor
    found = await ask(remembering, globex, f"GET {line}&cursor={cursor}")
    assert found.status_code in {200, 422}
    assert not any(job.id in found.text for job in jobs)
    assert CANARY not in found.text


async def test_operation_reaches_no_job_of_another_tenant(remembering: Ingest, admin: MintedKey, history_url: str):
    """An operation on ids or a group of another tenant is about one's own jobs, of which none is one of these."""
    acme, globex = await two_tenants(remembering, admin)
    job = await past(history_url)
    live = (await ask(remembering, acme, "POST /v1/jobs", JOB)).json()["id"]
    asked: list[dict[str, Any]] = [
        {"kind": "cancel", "ids": [live]},
        {"kind": "redrive", "group": {"type": job.type, "fingerprint": FINGERPRINT}},
    ]
    for one in asked:
        started = await ask(remembering, globex, "POST /v1/operations", one)
        stored = await remembering.services.history.operations.find(Tenant("globex"), started.json()["id"])
        assert stored is not None
        assert stored.tenant == "globex"
        assert stored.query is None or stored.query.tenant == "globex"
    report = (await ask(remembering, globex, "POST /v1/dead/discard", {"ids": [live, job.id]})).json()
    assert {item["status"] for item in report["items"]} == {404}
    assert (await ask(remembering, acme, f"GET /v1/jobs/{live}")).json()["state"] == "queued"


async def test_signal_to_another_tenants_job_arrives_nowhere(ingest: Ingest, admin: MintedKey):
    """A signal, a step's view and a member of a batch of another tenant are unknown, and nothing is kept of them."""
    acme, globex = await two_tenants(ingest, admin)
    places = await seed(ingest, acme)
    job_id, batch_id = places["job_id"].theirs, places["batch_id"].theirs
    signal = await ask(ingest, globex, f"POST /v1/jobs/{job_id}/signals/approved", {"by": "globex"})
    problem(signal, 404, "job-not-found")
    assert (await ask(ingest, acme, f"GET /v1/jobs/{job_id}/steps")).json()["kept_signals"] == []
    added = await ask(ingest, globex, f"POST /v1/batches/{batch_id}/jobs", {"jobs": [OWN]})
    problem(added, 404, "batch-not-found")
    # Also where one of its own batches is named, and a member of another tenant's as the one that adds.
    own = (await ask(ingest, globex, "POST /v1/batches", {"name": "a", "jobs": [OWN]})).json()["id"]
    member = (await ask(ingest, acme, f"GET /v1/batches/{batch_id}/jobs")).json()["items"][0]["job"]
    refused = await ask(ingest, globex, f"POST /v1/batches/{own}/jobs?by={member}", {"jobs": [OWN]})
    assert {item["status"] for item in refused.json()["items"]} == {409}
    assert seen(await ask(ingest, globex, f"POST /v1/workflows/{places['workflow_id'].theirs}/cancel"))[0] == 404
