"""Operators pause queues and limit their jobs over HTTP."""

import pytest
from ingest.serving import MSGPACK, packed, problem, unpacked
from streams.seeds import FAR_MS, commit, seed, seed_running, take

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, QueueLimits, Snoozed, TypePolicy, TypeRegistration


@pytest.fixture
async def queue(broker):
    """Return a queue that is known."""
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))
    await broker.registry.add_queues([queue])
    return queue


async def test_a_queue_is_limited_and_unlimited(ingest, broker, queue):
    """Limits are in force at once, are shown, and let everything go when they are removed."""
    ids = await seed(broker, queue, 4)
    response = await ingest.http.put("/v1/queues/email.send/limits", json={"concurrency": 2, "rate": "100/s"})
    assert response.status_code == 200
    shown = response.json()
    assert (shown["limits"], shown.get("paused")) == ({"concurrency": 2, "rate": "100/s"}, None)
    assert shown["limits_set_at"]
    # What was ready before the limits goes into its lane when a worker meets it.
    taken = [one for _ in range(3) for one in await take(broker, queue)]
    assert [one.id for one in taken] == ids[:2]
    counts = await ingest.get("/v1/queues/email.send")
    assert (counts["queued"]["normal"], counts["parked"], counts["running"]) == (2, 2, 2)
    assert await ingest.get("/v1/queues/email.send/settings") == shown
    response = await ingest.http.delete("/v1/queues/email.send/limits")
    assert response.json() == {"type": "email.send"}
    assert [one.id for one in await take(broker, queue)] == ids[2:]


async def test_what_a_handler_declares_is_told_from_what_an_operator_sets(ingest, broker, queue):
    """The settings say who has set the limits, and what holds again when an operator removes theirs."""
    await broker.settings.declare(queue, QueueLimits(concurrency=2), started_at_ms=1_000)
    shown = await ingest.get("/v1/queues/email.send/settings")
    assert (shown["limits"], shown["limits_source"]) == ({"concurrency": 2}, "handler")
    response = await ingest.http.put("/v1/queues/email.send/limits", json={"concurrency": 5})
    shown = response.json()
    assert (shown["limits"], shown["limits_source"], shown["declared"]) == (
        {"concurrency": 5},
        "operator",
        {"concurrency": 2},
    )
    response = await ingest.http.delete("/v1/queues/email.send/limits")
    assert (response.json()["limits"], response.json()["limits_source"]) == ({"concurrency": 2}, "handler")


async def test_what_a_handler_holds_back_is_shown_and_ended(ingest, broker, queue):
    """The settings have the time of a type and the job that asked for it, the keys theirs; each is ended by itself."""
    delivery = await seed_running(broker, queue, key="acme")
    await commit(broker, delivery, Snoozed(FAR_MS, "type"))
    await broker.settings.end_hold(queue)
    second = await seed_running(broker, queue, key="a b")
    await commit(broker, second, Snoozed(FAR_MS, "key"))
    third = await seed_running(broker, queue)
    await commit(broker, third, Snoozed(FAR_MS, "type"))
    shown = await ingest.get("/v1/queues/email.send/settings")
    assert shown["held_by"] == third.id
    assert shown["held_until"] == (await ingest.get("/v1/queues/email.send"))["held_until"]
    (key,) = (await ingest.get("/v1/queues/email.send/keys"))["items"]
    assert (key["key"], key["held_until"] <= shown["held_until"]) == ("a b", True)
    response = await ingest.http.delete("/v1/queues/email.send/hold")
    assert (response.status_code, response.json()) == (
        200,
        {"type": "email.send", "keys_held_until": key["held_until"]},
    )
    assert (await ingest.get("/v1/queues/email.send"))["held_until"] is None
    assert (await ingest.get("/v1/queues/email.send/keys"))["items"] == [key]
    await ingest.http.delete("/v1/queues/email.send/hold", params={"key": "a b"})
    assert (await ingest.get("/v1/queues/email.send/keys"))["items"] == []
    # What is not held back stays as it is.
    assert (await ingest.http.delete("/v1/queues/email.send/hold")).status_code == 200


async def test_limits_are_taken_in_messagepack(ingest, broker, queue):
    """Either encoding is understood and answered."""
    headers = {"content-type": MSGPACK, "accept": MSGPACK}
    body = packed({"rate": "5/m", "burst": 1})
    response = await ingest.http.put("/v1/queues/email.send/limits", content=body, headers=headers)
    assert unpacked(response)["limits"] == {"rate": "5/m", "burst": 1}
    await ingest.http.delete("/v1/queues/email.send/limits")


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({}, "", "needs `concurrency`, `rate`, `per_key`, `weights`, `fair`, `cap` or `breaker`"),
        ({"per_key": {}}, "/per_key", "needs `concurrency`, `rate` or `cap`"),
        ({"per_key": {"burst": 2}}, "/per_key/burst", "says how the starts of a `rate` are spread"),
        ({"weights": {"acme": 0}}, "/weights", "0.01"),
        ({"weights": {str(number): 2 for number in range(101)}}, "/weights", "100"),
        ({"concurrency": 0}, "/concurrency", "expected an integer of at least 1"),
        ({"rate": "5/x"}, "/rate", "such as `100/m`"),
        ({"rate": "0/s"}, "/rate", "such as `100/m`"),
        ({"concurrency": 1, "burst": 2}, "/burst", "says how the starts of a `rate` are spread"),
        ({"concurrency": 1, "weight": 2}, "/weight", ""),
    ],
)
async def test_limits_that_mean_nothing_are_refused(ingest, broker, queue, body, pointer, says):
    """The refusal names the field, and nothing is set."""
    response = await ingest.http.put("/v1/queues/email.send/limits", json=body)
    refused = problem(response, 422, "invalid-request")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]
    assert says in refused["errors"][0]["detail"]
    assert await ingest.get("/v1/queues/email.send/settings") == {"type": "email.send"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"concurrency": 3}, "concurrency"),
        ({"rate": "3/s"}, "rate"),
        ({"rate": "9/s", "burst": 3}, "burst"),
        ({"cap": 9}, "cap"),
        ({"concurrency": 9, "breaker": {}}, "breaker"),
    ],
)
async def test_a_limit_that_four_partitions_cannot_share_is_refused(ingest, broker, body, field):
    """Each partition needs a part of a limit of the type, and a cap and a breaker have none."""
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, JobType("log.write"), number) for number in range(4)])
    refused = problem(await ingest.http.put("/v1/queues/log.write/limits", json=body), 422, "invalid-request")
    assert [error["pointer"] for error in refused["errors"]] == [f"/{field}"]
    assert "partition" in refused["detail"]


async def test_a_limit_of_a_type_holds_over_its_partitions(ingest, broker):
    """As many jobs of all partitions run as the limit says, and the explanation of another one names both numbers."""
    queues = [Queue(DEFAULT_TENANT, JobType("log.write"), number) for number in range(4)]
    await broker.registry.add_queues(queues)
    assert (await ingest.http.put("/v1/queues/log.write/limits", json={"concurrency": 5})).status_code == 200
    made = [(await ingest.submit("log.write", key=f"k{number}"))["id"] for number in range(40)]
    await broker.budgets.deal(queues)  # as a dispatcher does each second
    taken = {one.id for queue in queues for one in await take(broker, queue)}
    assert len(taken) == 5
    left = next(one for one in made if one not in taken)
    told = [reason["detail"] for reason in (await ingest.get(f"/v1/jobs/{left}/explain"))["reasons"]]
    assert any("that its partition may have now of the 5 of its type" in one for one in told)


async def test_a_type_with_partitions_has_limits_of_keys(ingest, broker):
    """All jobs of a key are in one partition: its limits hold."""
    spread = TypeRegistration(type=JobType("log.write"), policy=TypePolicy(partitions=4))
    await broker.registry.add_queues([Queue(DEFAULT_TENANT, spread.type, number) for number in range(4)])
    limits = {"per_key": {"concurrency": 1}, "weights": {"acme": 2}}
    assert (await ingest.http.put("/v1/queues/log.write/limits", json=limits)).json()["limits"] == limits
    made = [(await ingest.submit("log.write", key=key))["id"] for key in ("acme", "acme", "other")]
    taken = [one.id for number in range(4) for one in await take(broker, Queue(DEFAULT_TENANT, spread.type, number))]
    assert set(taken) == {made[0], made[2]}


async def test_a_queue_is_paused_and_resumed(ingest, broker, queue):
    """No worker gets a job of a paused queue, what runs ends, jobs are accepted, and the first reason stays."""
    running = await seed_running(broker, queue)
    response = await ingest.http.post("/v1/queues/email.send/pause", params={"reason": "the provider is down"})
    shown = response.json()
    assert (shown["paused"], shown["pause_reason"]) == (True, "the provider is down")
    again = await ingest.http.post("/v1/queues/email.send/pause", params={"reason": "another"})
    assert again.json() == shown
    (waiting,) = await seed(broker, queue)
    assert await take(broker, queue) == []
    await commit(broker, running)
    assert (await ingest.get("/v1/queues/email.send"))["paused"] is True
    response = await ingest.http.post("/v1/queues/email.send/resume")
    assert response.json() == {"type": "email.send"}
    assert [one.id for one in await take(broker, queue)] == [waiting]


async def test_all_partitions_of_a_type_are_paused(ingest, broker):
    """A type is one queue for operators."""
    queues = [Queue(DEFAULT_TENANT, JobType("log.write"), number) for number in range(3)]
    await broker.registry.add_queues(queues)
    await ingest.http.post("/v1/queues/log.write/pause")
    assert all([(await broker.settings.read(queue)).paused for queue in queues])
    await ingest.http.post("/v1/queues/log.write/resume")
    assert not any([(await broker.settings.read(queue)).paused for queue in queues])


async def test_a_reason_of_any_length_is_not_stored(ingest, broker, queue):
    """A reason that is too long is refused, and the queue goes on."""
    response = await ingest.http.post("/v1/queues/email.send/pause", params={"reason": "x" * 501})
    assert "500" in problem(response, 422, "invalid-request")["detail"]
    assert await ingest.get("/v1/queues/email.send/settings") == {"type": "email.send"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "settings"), ("PUT", "limits"), ("DELETE", "limits"), ("POST", "pause"), ("POST", "resume")],
)
async def test_an_unknown_queue_is_not_found(ingest, broker, method, path):
    """A type that was never used and is not registered has no settings."""
    body = {"concurrency": 1} if method == "PUT" else None
    response = await ingest.http.request(method, f"/v1/queues/no.such/{path}", json=body)
    problem(response, 404, "not-found")


async def test_limits_lower_the_demand(ingest, broker, queue):
    """More workers do not help jobs that a limit holds back, so autoscalers do not see these."""
    await ingest.http.put("/v1/queues/email.send/limits", json={"concurrency": 2})
    await seed(broker, queue, 6)
    assert (await ingest.get("/v1/demand"))["queued"] == 2
    taken = await take(broker, queue)
    demand = await ingest.get("/v1/demand")
    assert (len(taken), demand["queued"], demand["running"]) == (2, 0, 2)


async def test_keys_share_a_queue_as_they_are_limited_and_weighted(ingest, broker, queue):
    """Each key runs as many at once as it may, and is listed with what waits, what is in flight, weight and rate."""
    limits = {"per_key": {"concurrency": 2, "rate": "3/h"}, "weights": {"a key: 100 %": 3}}
    shown = (await ingest.http.put("/v1/queues/email.send/limits", json=limits)).json()
    assert shown["limits"] == {"per_key": limits["per_key"], "weights": limits["weights"]}
    ids = {key: [(await ingest.submit(key=key))["id"] for _ in range(5)] for key in ("a key: 100 %", "b")}
    keyless = (await ingest.submit())["id"]
    taken = await take(broker, queue)
    assert {one.id for one in taken} == {*ids["a key: 100 %"][:2], *ids["b"][:2], keyless}
    await commit(broker, next(one for one in taken if one.id == ids["b"][0]))
    assert [one.id for one in await take(broker, queue)] == [ids["b"][2]]
    await commit(broker, next(one for one in taken if one.id == ids["b"][1]))
    assert await take(broker, queue) == []
    path = "/v1/queues/email.send/keys"
    first, second, third = (await ingest.get(path))["items"]
    assert first == {"key": "a key: 100 %", "parked": 3, "in_flight": 2, "weight": 3.0}
    assert (second["key"], second["parked"], second["in_flight"]) == ("b", 2, 1)
    assert second["free_at"]
    assert third == {"in_flight": 1, "weight": 1.0}
    page = await ingest.get(path, sort="key", limit=1)
    assert page["items"] == [third]
    page = await ingest.get(path, sort="key", limit=1, cursor=page["next_cursor"])
    assert page["items"] == [first]
    refused = problem(await ingest.http.get(path, params={"sort": "size"}), 400, "bad-request")
    assert [error["pointer"] for error in refused["errors"]] == ["?sort"]


async def test_jobs_of_keys_are_listed_behind_those_without_one(ingest, broker, queue):
    """A list of queued jobs has each job that a limit holds back once, whatever its key, page by page."""
    await ingest.http.put("/v1/queues/email.send/limits", json={"concurrency": 1})
    made = {(await ingest.submit(key=key))["id"] for key in ("x", "y y", "x", None, "z") for _ in range(2)}
    await take(broker, queue)
    seen, cursor = [], None
    while True:
        query = {"state": "queued", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await ingest.get("/v1/jobs", **query)
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == len(made) - 1
    assert set(seen) < made


async def test_keys_take_turns_where_nothing_is_limited(ingest, broker, queue):
    """A queue may be gated for its turns alone: the single job of a key is among the first."""
    assert (await ingest.http.put("/v1/queues/email.send/limits", json={"fair": True})).json()["limits"] == {
        "fair": True
    }
    for _ in range(9):
        await ingest.submit(key="big")
    single = (await ingest.submit(key="small"))["id"]
    assert single in [one.id for one in await take(broker, queue, limit=4)]


async def test_a_breaker_is_set_opened_and_closed_by_hand(ingest, broker, queue):
    """An operator opens it with a reason that is shown and explained, and closing lets jobs start."""
    refused = await ingest.http.post("/v1/queues/email.send/breaker/open")
    assert "no circuit breaker" in problem(refused, 409, "wrong-state")["detail"]
    await ingest.http.put("/v1/queues/email.send/limits", json={"breaker": {"minimum": 5}})
    response = await ingest.http.post("/v1/queues/email.send/breaker/open", params={"reason": "the provider is down"})
    shown = response.json()["breaker"]
    assert (shown["state"], shown["reason"]) == ("forced-open", "the provider is down")
    (job_id,) = await seed(broker, queue)
    assert await take(broker, queue) == []
    reasons = (await ingest.get(f"/v1/jobs/{job_id}/explain"))["reasons"]
    assert "opened by hand (the provider is down)" in reasons[0]["detail"]
    assert (await ingest.get("/v1/queues/email.send"))["breaker"] == "forced-open"
    assert (await ingest.http.post("/v1/queues/email.send/breaker/close")).json()["breaker"] == {"state": "closed"}
    assert len(await take(broker, queue)) == 1
    await ingest.http.delete("/v1/queues/email.send/limits")
