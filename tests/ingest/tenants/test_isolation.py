"""What is of a tenant is to another as if it never was: over every route, with every role.

The routes are those of the application, so a new one is tried without a word here; one with a new place in its path
fails until `Place` has an id for it.
"""

from typing import Any

import httpx2
import pytest
from ingest.serving import Ingest
from ingest.tenants.test_tenants import ask, key_of, make
from msgspec import Struct

from millstream_contracts import DEFAULT_TENANT, MintedKey, Role
from millstream_ingest.api.app import API_ROUTES

CANARY = "canary-of-acme"
JOB = {"type": "canary.type", "payload": {"text": CANARY}, "tags": {"who": CANARY}}
BODIES: list[Any] = [{}, {"type": "own.type", "payload": None}]
"""Bodies with which each route that changes something is tried."""

STREAMS = {"/v1/events"}
"""Routes that answer without an end: what comes over them is tried in `test_isolation_beyond_redis`."""


_ABSENT = ("worker", "webhook_id", "operation_id", "backfill_id", "signal", "session_id")


class Place(Struct, frozen=True):
    """An id that acme has, and one of the same form that no tenant has."""

    theirs: str
    unknown: str


async def seed(ingest: Ingest, key: str) -> dict[str, Place]:
    """Have acme own one of everything that needs no history. Returns: what stands in paths."""
    job = (await ask(ingest, key, "POST /v1/jobs", JOB)).json()["id"]
    schedule = {"every_s": 3600, "description": CANARY, "job": JOB}
    assert (await ask(ingest, key, "PUT /v1/schedules/canary", schedule)).status_code == 201
    template = {"type": "canary.type", "description": CANARY, "payload": {"text": CANARY}}
    assert (await ask(ingest, key, "PUT /v1/templates/canary", template)).status_code == 201
    workflow = (await ask(ingest, key, "POST /v1/workflows", {"name": "canary", "nodes": {"a": JOB}})).json()["id"]
    batch = (await ask(ingest, key, "POST /v1/batches", {"name": "canary", "jobs": [JOB]})).json()["id"]
    made = (await ask(ingest, key, "POST /v1/keys", {"name": CANARY, "role": "viewer"})).json()["id"]
    return {
        "job_id": _place(job),
        "schedule": Place("canary", "ghost"),
        "template": Place("canary", "ghost"),
        "workflow_id": _place(workflow),
        "batch_id": _place(batch),
        "key_id": _place(made),
        "job_type": Place("canary.type", "ghost.type"),
        "tenant": Place("acme", "ghost"),
        # Without a history and a worker there are none of these; they are as unknown as any.
        **{name: Place("none", "none") for name in _ABSENT},
    }


def _place(theirs: str) -> Place:
    last = "0" if theirs[-1] != "0" else "1"
    return Place(theirs, theirs[:-1] + last)


def seen(response: httpx2.Response) -> tuple[int, str]:
    """Return what tells one answer from another: its status, and the kind of a problem."""
    is_problem = "problem+json" in response.headers.get("content-type", "") and response.content
    return response.status_code, response.json()["type"] if is_problem else ""


async def try_routes(ingest: Ingest, key: str, places: dict[str, Place]) -> None:
    """Ask every route for what acme has, and for what never was: the answers are alike, and none has the canary."""
    for route in API_ROUTES:
        if route.path in STREAMS or route.path == "/v1/workers/{worker}/drain":
            continue
        theirs, unknown = (
            route.path.format(**{name: getattr(place, which) for name, place in places.items()})
            for which in ("theirs", "unknown")
        )
        for method in route.methods:
            for body in BODIES if method in {"POST", "PUT", "PATCH"} else [None]:
                found = await ask(ingest, key, f"{method} {theirs}", body)
                if theirs != unknown:
                    never = await ask(ingest, key, f"{method} {unknown}", body)
                    assert seen(found) == seen(never), (method, route.path, body)
                assert CANARY not in found.text, (method, route.path)


async def whole(ingest: Ingest, key: str, places: dict[str, Place]) -> list[Any]:
    """Return all that acme has, as acme reads it."""
    lines = [
        f"/v1/jobs/{places['job_id'].theirs}",
        "/v1/schedules/canary",
        "/v1/templates/canary",
        f"/v1/workflows/{places['workflow_id'].theirs}",
        f"/v1/batches/{places['batch_id'].theirs}",
        f"/v1/keys/{places['key_id'].theirs}",
        "/v1/queues/canary.type",
        "/v1/queues/canary.type/settings",
    ]
    answers = [await ask(ingest, key, f"GET {line}") for line in lines]
    assert [answer.status_code for answer in answers] == [200] * len(lines)
    return [{**answer.json(), "oldest_ready_age_s": 0} for answer in answers]


@pytest.mark.parametrize("role", [*Role])
async def test_what_another_tenant_has_is_not_there(ingest: Ingest, admin: MintedKey, role: Role):
    """With every role of another tenant every route answers as for an id that never was, and acme's things stay."""
    await make(ingest, admin, "acme")
    await make(ingest, admin, "globex")
    acme = await key_of(ingest, admin, tenant="acme")
    places = await seed(ingest, acme)
    before = await whole(ingest, acme, places)
    await try_routes(ingest, await key_of(ingest, admin, role, "globex"), places)
    assert await whole(ingest, acme, places) == before


async def test_names_and_keys_of_one_tenant_are_free_in_another(ingest: Ingest, admin: MintedKey):
    """An idempotency key, a unique key, a schedule and a template of one tenant do not stand in the way of others."""
    ids = set()
    for name in ("acme", "globex"):
        await make(ingest, admin, name)
        key = await key_of(ingest, admin, tenant=name)
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": '"one"'}
        made = await ingest.http.post("/v1/jobs", json={**JOB, "unique": {"key": "one"}}, headers=headers)
        assert made.status_code == 202
        assert "idempotency-replayed" not in made.headers
        ids.add(made.json()["id"])
        assert (await ask(ingest, key, "PUT /v1/templates/one", {"type": "a.b"})).status_code == 201
    assert len(ids) == 2


async def test_nothing_can_be_hung_on_another_tenants_work(ingest: Ingest, admin: MintedKey):
    """A parent, a template and a cursor of another tenant are refused, or lead to nothing of it."""
    for name in ("acme", "globex"):
        await make(ingest, admin, name)
    acme, globex = [await key_of(ingest, admin, tenant=name) for name in ("acme", "globex")]
    places = await seed(ingest, acme)
    child = {"type": "a.b", "payload": None, "after": [places["job_id"].theirs]}
    assert seen(await ask(ingest, globex, "POST /v1/jobs", child))[1] == "/problems/unknown-parent"
    assert (await ask(ingest, globex, "POST /v1/jobs", {"template": "canary"})).status_code == 422
    for _ in range(2):
        await ask(ingest, acme, "POST /v1/jobs", JOB)
    for line in ("/v1/jobs", "/v1/queues", "/v1/schedules", "/v1/batches", "/v1/workflows", "/v1/keys"):
        cursor = (await ask(ingest, acme, f"GET {line}?limit=1")).json().get("next_cursor")
        if cursor:
            found = await ask(ingest, globex, f"GET {line}?limit=1&cursor={cursor}")
            assert CANARY not in found.text
            assert places["job_id"].theirs not in found.text


async def test_operator_reads_nothing_of_tenants(ingest: Ingest, admin: MintedKey):
    """A key of the operator manages tenants and their keys, and sees none of their work."""
    await make(ingest, admin, "acme")
    acme = await key_of(ingest, admin, tenant="acme")
    places = await seed(ingest, acme)
    for line in (f"/v1/jobs/{places['job_id'].theirs}", "/v1/schedules/canary", "/v1/templates/canary"):
        assert (await ask(ingest, admin, f"GET {line}")).status_code == 404
    assert CANARY not in (await ask(ingest, admin, "GET /v1/jobs")).text
    assert (await ask(ingest, admin, "GET /v1/me")).json()["tenant"] == DEFAULT_TENANT
