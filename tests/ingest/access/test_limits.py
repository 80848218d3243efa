"""A key submits and asks as often as its limits allow, over all ingests, and is told what they are."""

import time
from typing import Any

import anyio
import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, patient, problem, running_ingest
from msgspec.structs import replace

from millstream_contracts import MintedKey, RequestLimits, Role, Tenant
from millstream_ingest.access.principal import Principal
from millstream_ingest.http.errors import IngestError
from millstream_ingest.limiting.bucket import Rate
from millstream_ingest.limiting.door import REQUESTS, SUBMISSIONS, Door
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker
from millstream_telemetry import IngestMetrics, MetricRegistry

JOB = {"type": "email.send"}
SLOW = 0.01
"""A rate at which no token comes back while a test runs."""
TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def limited(response: Any, policy: str) -> dict[str, Any]:
    """Return a refusal for a limit, which must be whole."""
    assert response.status_code == 429, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0
    document = response.json()
    assert (document["type"], document["violated-policies"]) == (TYPE, [policy])
    return document


async def statuses(ingest: Ingest, key: MintedKey, times: int, path: str = "/v1/jobs") -> list[int]:
    """Submit jobs one after the other, and return the statuses."""
    return [(await ingest.http.post(path, json=JOB, headers=bearer(key))).status_code for _ in range(times)]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/"], ids=["fast path", "router"])
async def test_submissions_over_the_limit_are_refused_before_their_body_is_read(ingest: Ingest, give: Give, path: str):
    """A key submits as many jobs as its limit lets in, and the next is refused whatever is in its body."""
    key = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=3))
    assert await statuses(ingest, key, 3, path) == [202] * 3
    refused = await ingest.http.post(path, content=b"{", headers=bearer(key))
    limited(refused, "submissions")
    assert refused.headers["ratelimit-policy"] == '"submissions";q=3;w=300'
    assert refused.headers["ratelimit"] == f'"submissions";r=0;t={refused.headers["retry-after"]}'
    jobs = (await ingest.http.get("/v1/jobs", headers=bearer(key))).json()["items"]
    assert len(jobs) == 3


async def test_each_kind_of_request_has_its_limit(ingest: Ingest, give: Give):
    """What is no submission counts for the other limit, a refusal for a lack of payload too, and probes for none."""
    key = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=1, requests_per_s=SLOW))
    first = await ingest.http.get("/v1/jobs/none", headers=bearer(key))
    assert (first.status_code, first.headers["ratelimit"]) == (404, '"requests";r=0;t=100')
    limited(await ingest.http.get("/v1/jobs", headers=bearer(key)), "requests")
    assert await statuses(ingest, key, 2) == [202, 429]
    for path in ("/health", "/readyz", "/metrics", "/problems/quota-exceeded"):
        answer = await ingest.http.get(path, headers=bearer(key))
        assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)
    lines = (await ingest.http.get("/metrics")).text
    assert 'millstream_requests_limited_total{policy="requests"} 1.0' in lines
    assert 'millstream_requests_limited_total{policy="submissions"} 1.0' in lines


async def test_jobs_of_a_batch_count_one_each(ingest: Ingest, give: Give):
    """A batch is taken whole or not at all, and one that never fits is refused as too large."""
    key = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=5))

    async def submit(jobs: int) -> Any:
        return await ingest.http.post("/v1/jobs/batch", json={"jobs": [JOB] * jobs}, headers=bearer(key))

    assert (await submit(3)).json()["accepted"] == 3
    # The refused batch has taken the token of a request.
    limited(await submit(3), "submissions")
    assert await statuses(ingest, key, 2) == [202, 429]
    roomy = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=5))
    answer = await ingest.http.post("/v1/jobs/batch", json={"jobs": [JOB] * 6}, headers=bearer(roomy))
    assert "lets 5 in at once" in problem(answer, 413, "too-large")["detail"]


async def test_jobs_of_batches_and_nodes_of_workflows_count(ingest: Ingest, give: Give):
    """The first members of a batch and the nodes of a workflow count like jobs that are submitted one by one."""
    asked = {
        "/v1/batches": {"name": "a", "jobs": [JOB] * 3},
        "/v1/workflows": {"name": "a", "nodes": dict.fromkeys("abc", JOB)},
    }
    for path, body in asked.items():
        key = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=4))
        accepted = await ingest.http.post(path, json=body, headers=bearer(key))
        assert accepted.status_code == 202, accepted.text
        limited(await ingest.http.post(path, json=body, headers=bearer(key)), "submissions")


async def test_two_ingests_share_a_limit_within_their_leases(
    ingest: Ingest, settings: IngestSettings, give: Give, broker: Broker
):
    """Two ingests that are asked at once let in what the limit allows, and a lease each beside it at most."""
    rate = Rate(100.0, burst=100)
    key = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=rate.per_s, burst=rate.burst))
    taken = 0

    async def send(one: Ingest) -> None:
        nonlocal taken
        found = await statuses(one, key, 1)
        taken += found.count(202)

    async with running_ingest(patient(settings)) as other:
        begun = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for _ in range(rate.burst * 3 // 2):
                tasks.start_soon(send, ingest)
                tasks.start_soon(send, other)
        elapsed_s = time.monotonic() - begun
    allowed = rate.burst + rate.per_s * elapsed_s
    assert rate.burst - rate.lease <= taken <= allowed + 2 * rate.lease


async def test_limit_outlives_an_ingest(ingest: Ingest, settings: IngestSettings, give: Give):
    """What one ingest has let in counts for the next, but for the lease that it held when it ended."""
    key = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=4))
    assert await statuses(ingest, key, 3) == [202] * 3
    async with running_ingest(patient(settings)) as other:
        assert await statuses(other, key, 3) in ([202, 429, 429], [202, 202, 429], [429] * 3)


async def test_successors_and_sessions_share_the_limit(ingest: Ingest, give: Give, admin: MintedKey):
    """A rotated key and its successor have the limit of the first together."""
    key = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=2))
    response = await ingest.http.post(f"/v1/keys/{key.id}/rotate", json={}, headers=bearer(admin))
    successor = response.json()
    assert successor["limits"] == {"submissions_per_s": SLOW, "burst": 2}
    assert await statuses(ingest, key, 2) == [202, 202]
    answer = await ingest.http.post("/v1/jobs", json=JOB, headers=bearer(successor["key"]))
    limited(answer, "submissions")


async def test_session_has_the_limits_that_its_key_has_now(ingest: Ingest, give: Give, admin: MintedKey):
    """A session counts with its key, and a limit that the key gets later holds for it too."""
    key = await give(Role.ADMIN)
    opened = (await ingest.http.post("/v1/sessions", json={}, headers=bearer(key))).json()
    limits = {"submissions_per_s": SLOW, "burst": 2}
    changed = await ingest.http.patch(f"/v1/keys/{key.id}", json={"limits": limits}, headers=bearer(admin))
    assert changed.status_code == 200
    await ingest.services.key_cache.refresh()
    assert await statuses(ingest, key, 1) == [202]
    answers = [await ingest.http.post("/v1/jobs", json=JOB, headers=bearer(opened["token"])) for _ in range(2)]
    assert answers[0].status_code == 202
    limited(answers[1], "submissions")


async def test_limit_of_a_tenant_holds_for_its_keys_together(broker: Broker):
    """Keys of a tenant share its limit, each within its own, and what a tenant's limit refuses costs a key nothing."""
    of_tenant = {"acme": RequestLimits(submissions_per_s=SLOW, burst=3)}
    door = Door(broker.rate_tokens, IngestMetrics(MetricRegistry()), RequestLimits(), of_tenant.get)
    own = RequestLimits(submissions_per_s=SLOW, burst=2)
    one, other = (
        Principal(tenant=Tenant("acme"), scopes=frozenset(), owner=owner, limits=own) for owner in ("one", "other")
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.run)

        async def take(principal: Principal) -> str:
            held = door.limits_of(principal, SUBMISSIONS)
            assert held is not None
            try:
                await door.take(held)
            except IngestError as error:
                return error.violated[0]
            return ""

        assert [await take(one) for _ in range(3)] == ["", "", "submissions"]
        assert [await take(other) for _ in range(3)] == ["", "tenant-submissions", "tenant-submissions"]
        assert door.limits_of(other, REQUESTS) is None
        assert door.limits_of(Principal(scopes=frozenset(), owner="else"), SUBMISSIONS) is None
        found = dict(door.limits_of(one, SUBMISSIONS).fields())
        assert found[b"ratelimit-policy"] == b'"submissions";q=2;w=200, "tenant-submissions";q=3;w=300'
        tasks.cancel_scope.cancel()


async def test_limits_are_given_shown_and_changed(ingest: Ingest, admin: MintedKey):
    """Limits are given with a key, told to it, changed as a whole, and taken away again."""
    limits = {"submissions_per_s": 5.0, "burst": 9, "requests_per_s": 2.5}
    asked = {"name": "a", "role": "admin", "limits": limits}
    made = (await ingest.http.post("/v1/keys", json=asked, headers=bearer(admin))).json()
    assert made["limits"] == limits
    me = await ingest.http.get("/v1/me", headers=bearer(made["key"]))
    assert me.json()["limits"] == limits
    assert me.headers["ratelimit-policy"] == '"requests";q=3;w=2'
    path = f"/v1/keys/{made['id']}"
    changed = await ingest.http.patch(path, json={"limits": {"requests_per_s": 50}}, headers=bearer(admin))
    assert changed.json()["limits"] == {"requests_per_s": 50.0}
    await ingest.services.key_cache.refresh()
    me = await ingest.http.get("/v1/me", headers=bearer(made["key"]))
    assert me.headers["ratelimit-policy"] == '"requests";q=50;w=1'
    gone = await ingest.http.patch(path, json={"limits": {}}, headers=bearer(admin))
    assert "limits" not in gone.json()
    same = await ingest.http.patch(path, json={}, headers=bearer(admin))
    assert same.json() == gone.json()


async def test_limits_that_mean_nothing_are_refused_by_their_field(ingest: Ingest, admin: MintedKey):
    """A rate of nothing, a burst without a rate and an unknown limit are refused, and nothing is changed."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"submissions_per_s": 0}, "/limits/submissions_per_s"),
        ({"submissions_per_s": 5, "burst": 0}, "/limits/burst"),
        ({"burst": 5}, "/limits/burst"),
        ({"jobs_per_s": 5}, "/limits/jobs_per_s"),
    ]
    for limits, pointer in wrong:
        for method, path, body in (
            ("POST", "/v1/keys", {"name": "a", "role": "admin", "limits": limits}),
            ("PATCH", f"/v1/keys/{admin.id}", {"limits": limits}),
        ):
            answer = await ingest.http.request(method, path, json=body, headers=bearer(admin))
            found = problem(answer, 422, "invalid-request")
            assert [error["pointer"].removeprefix("#") for error in found["errors"]] == [pointer]
    missing = await ingest.http.patch("/v1/keys/none", json={"limits": {}}, headers=bearer(admin))
    problem(missing, 404, "key-not-found")


async def test_settings_limit_keys_that_have_no_limits_of_their_own(
    settings: IngestSettings, give: Give, admin: MintedKey
):
    """The settings hold for a key without limits, and those of a key before them, each for its kind."""
    narrow = replace(settings, key_submissions_per_s=SLOW, key_submissions_burst=2, key_requests_per_s=SLOW)
    own = await give(Role.ADMIN, limits=RequestLimits(submissions_per_s=SLOW, burst=3))
    async with running_ingest(patient(narrow)) as running:
        assert await statuses(running, admin, 3) == [202, 202, 429]
        assert await statuses(running, own, 4) == [202, 202, 202, 429]
        assert (await running.http.get("/v1/me", headers=bearer(own))).status_code == 200
        limited(await running.http.get("/v1/me", headers=bearer(own)), "requests")


async def test_without_limits_nothing_is_said_and_nothing_asked(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A key without limits has no fields in its answers, and Redis is not asked for tokens."""
    answer = await ingest.http.post("/v1/jobs", json=JOB, headers=bearer(admin))
    assert answer.status_code == 202
    assert not {"ratelimit", "ratelimit-policy"} & answer.headers.keys()
    assert not await broker.client.exists(broker.keys.rates)


async def test_reads_go_on_at_their_rate_while_redis_cannot_be_asked_for_tokens(
    ingest: Ingest, give: Give, broker: Broker
):
    """Where the tokens cannot be had, an ingest limits by itself, and says in its metrics that it does."""
    key = await give(Role.ADMIN, limits=RequestLimits(requests_per_s=SLOW))
    await broker.client.set(broker.keys.rates, "of another program")
    path = "/v1/me"
    assert (await ingest.http.get(path, headers=bearer(key))).status_code == 200
    answers = [(await ingest.http.get(path, headers=bearer(key))).status_code for _ in range(4)]
    assert answers == [200, 429, 429, 429]
    assert "millstream_rate_tokens_missed_total 0.0" not in (await ingest.http.get("/metrics")).text
    await broker.client.delete(broker.keys.rates)


async def test_stream_of_events_counts_once(ingest: Ingest, give: Give):
    """A stream takes one token when it begins, however long it lasts, and has the fields."""
    key = await give(Role.ADMIN, limits=RequestLimits(requests_per_s=SLOW))
    async with ingest.http.stream("GET", "/v1/events", headers=bearer(key)) as stream:
        assert stream.status_code == 200
        assert stream.headers["ratelimit"].startswith('"requests";r=0')
    limited(await ingest.http.get("/v1/events", headers=bearer(key)), "requests")
