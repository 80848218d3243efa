"""Over HTTP a unique key has one job at a time, and the response says what became of the other."""

import json

import pytest
from ingest.serving import problem
from streams.seeds import ERROR, commit, seed_dead, take_one

from millstream_contracts import DEFAULT_TENANT, Dead, JobType, Queue, TypePolicy, TypeRegistration, UniqueRule

RULE = UniqueRule(fields=("invoice.id",), on_conflict="reject")


def body(unique=None, payload=None):
    """Return a submission."""
    return {"type": "email.send", "payload": payload, "unique": unique or {"key": "7"}}


async def post(ingest, unique=None, payload=None, **headers):
    """Submit a unique job."""
    return await ingest.http.post("/v1/jobs", json=body(unique, payload), headers=headers)


async def declare(broker, rule, partitions=1):
    """Let a worker register the type with a unique key."""
    policy = TypePolicy(unique=rule, partitions=partitions)
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=JobType("email.send"), policy=policy)])


async def test_return_answers_with_the_holder_and_says_so(ingest, broker, queue):
    """With `return` the response is the job that holds the key, with status 200 and a header."""
    first = await post(ingest)
    assert (first.status_code, first.json()["unique"]) == (202, {"key": "7", "scope": "running"})
    assert "unique-conflict" not in first.headers
    again = await post(ingest)
    assert (again.status_code, again.headers["unique-conflict"]) == (200, "true")
    assert (again.json()["id"], again.headers["location"]) == (first.json()["id"], first.headers["location"])
    assert (await broker.store.measure(queue)).queued == (0, 1, 0)


async def test_a_window_returns_the_result(ingest, broker):
    """A job that has succeeded within its window is returned with its result."""
    window = {"key": "7", "scope": "window", "window_s": 3600}
    first = await post(ingest, window)
    await commit(broker, await take_one(broker, Queue(DEFAULT_TENANT, JobType("email.send"))))
    again = await post(ingest, window)
    assert (again.json()["id"], again.json()["state"]) == (first.json()["id"], "succeeded")
    assert again.json()["unique"].keys() == {"key", "scope", "until"}


async def test_reject_is_a_conflict_that_names_the_holder(ingest):
    """With `reject` the response is a conflict with the id of the job that holds the key."""
    first = await post(ingest)
    refused = await post(ingest, {"key": "7", "on_conflict": "reject"})
    said = problem(refused, 409, "unique-conflict")
    assert first.json()["id"] in said["detail"]


async def test_replace_cancels_the_job_that_waits(ingest):
    """With `replace` the job that waits is cancelled, and the new one is accepted."""
    first = await post(ingest)
    second = await post(ingest, {"key": "7", "on_conflict": "replace"})
    assert second.status_code == 202
    old = (await ingest.http.get(f"/v1/jobs/{first.json()['id']}")).json()
    assert (old["state"], old["reason"]) == ("cancelled", "replaced")


@pytest.mark.parametrize("form", ["json", "ndjson"])
async def test_items_of_a_batch_have_an_outcome_each(ingest, form):
    """In a batch each item is stored, returned or refused for itself, also within the batch."""
    jobs = [body(), body(), body({"key": "7", "on_conflict": "reject"}), body({"key": "8"})]
    if form == "json":
        answer = await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs})
    else:
        lines = "\n".join(json.dumps(job) for job in jobs)
        headers = {"content-type": "application/x-ndjson"}
        answer = await ingest.http.post("/v1/jobs/batch", content=lines, headers=headers)
    receipt = answer.json()
    assert (receipt["accepted"], receipt["rejected"]) == (3, 1)
    assert [item["status"] for item in receipt["items"]] == [202, 200, 409, 202]
    first, second, third, _ = receipt["items"]
    assert (second["id"], second["unique_conflict"]) == (first["id"], True)
    assert third["problem"]["type"] == "/problems/unique-conflict"


@pytest.mark.parametrize(
    ("unique", "pointer"),
    [
        ({"key": ""}, "/unique/key"),
        ({"key": "7", "scope": "for ever"}, "/unique/scope"),
        ({"key": "7", "scope": "window"}, "/unique/window_s"),
        ({"key": "7", "window_s": 60}, "/unique/window_s"),
        ({"key": "7", "on_conflict": "ignore"}, "/unique/on_conflict"),
        ({"kye": "7"}, "/unique/kye"),
    ],
)
async def test_a_wrong_option_is_named(ingest, unique, pointer):
    """A wrong field is refused with its pointer."""
    said = problem(await post(ingest, unique), 422, "invalid-request")
    assert [error["pointer"] for error in said["errors"]] == [pointer]


async def test_a_handler_declares_the_fields_of_the_key(ingest, broker):
    """The values of the fields that the handler names make the key, whatever else the payload has."""
    await declare(broker, RULE)
    first = await post_plain(ingest, {"invoice": {"id": 7}, "copy": 1})
    assert first.json()["unique"]["key"] == "7"
    problem(await post_plain(ingest, {"invoice": {"id": 7}, "copy": 2}), 409, "unique-conflict")
    assert (await post_plain(ingest, {"invoice": {"id": 8}})).status_code == 202


async def test_a_submission_overrules_the_handler(ingest, broker):
    """What a submission asks for stands in place of the rule of the handler; the fields still make its key."""
    await declare(broker, RULE)
    first = await post_plain(ingest, {"invoice": {"id": 7}})
    again = await post(ingest, {"on_conflict": "return"}, {"invoice": {"id": 7}})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize("payload", [{}, {"invoice": {}}, {"invoice": {"id": None}}, {"invoice": {"id": [7]}}, None])
async def test_a_payload_without_the_field_is_refused(ingest, broker, payload):
    """A payload that makes no key is refused with the pointer to the field, alone and in a batch."""
    await declare(broker, RULE)
    said = problem(await post_plain(ingest, payload), 422, "invalid-request")
    assert [error["pointer"] for error in said["errors"]] == ["/payload/invoice/id"]
    jobs = [{"type": "email.send", "payload": payload}]
    (item,) = (await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs})).json()["items"]
    assert item["problem"]["errors"][0]["pointer"] == "/jobs/0/payload/invoice/id"


async def test_the_whole_payload_is_a_key_in_any_order(ingest, broker):
    """Without fields the whole payload makes the key; the order of its members makes no difference."""
    await declare(broker, UniqueRule())
    first = await post_plain(ingest, {"a": 1, "b": {"c": 2, "d": 3}})
    again = await post_plain(ingest, {"b": {"d": 3, "c": 2}, "a": 1})
    assert again.json()["id"] == first.json()["id"]
    assert (await post_plain(ingest, {"a": 1})).status_code == 202


async def test_the_key_chooses_the_partition(ingest, broker):
    """All jobs with one key lie in one partition, so that the key is exact for a type with several."""
    await declare(broker, UniqueRule(fields=("id",)), partitions=16)
    for number in range(8):
        found = [await post_plain(ingest, {"id": number, "n": n}, **{"idempotency-key": f"{number} {n}"}) for n in "ab"]
        assert [one.status_code for one in found] == [202, 200]
        assert found[0].json()["id"] == found[1].json()["id"]


async def test_two_keys_choose_no_partition(ingest, broker):
    """With several partitions a job has a unique key or a key for limits, for one step looks into one partition."""
    await declare(broker, UniqueRule(fields=("id",)), partitions=16)
    job = {"type": "email.send", "payload": {"id": 1}, "key": "ann"}
    said = problem(await ingest.http.post("/v1/jobs", json=job), 422, "invalid-request")
    assert [error["pointer"] for error in said["errors"]] == ["/unique"]


async def test_a_repetition_of_a_returned_job_is_a_repetition(ingest):
    """A request with an idempotency key that was answered with the holder is answered with it again."""
    first = await post(ingest)
    headers = {"idempotency-key": "k"}
    assert (await post(ingest, **headers)).headers["unique-conflict"] == "true"
    again = await post(ingest, **headers)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first.json()["id"], "true")


async def test_a_dead_job_whose_key_is_taken_stays_dead(ingest, broker, queue):
    """A retry, and an action on dead letters, answer with the conflict."""
    first = await post(ingest)
    await commit(broker, await take_one(broker, queue), Dead("attempts", ERROR))
    await post(ingest)
    said = problem(await ingest.http.post(f"/v1/jobs/{first.json()['id']}/retry"), 409, "unique-conflict")
    assert "`7`" in said["detail"]
    (delivery,) = [await take_one(broker, queue)]
    plain = await seed_dead(broker, queue)
    report = (await ingest.http.post("/v1/dead/redrive", json={"ids": [first.json()["id"], plain]})).json()
    assert [item["status"] for item in report["items"]] == [409, 202]
    await commit(broker, delivery)
    assert (await ingest.http.post(f"/v1/jobs/{first.json()['id']}/retry")).status_code == 202


async def test_conflicts_are_counted(ingest, broker):
    """Conflicts count by type and what they lead to, never by key."""
    await declare(broker, UniqueRule())
    for on_conflict in ("return", "return", "reject", "replace"):
        await post(ingest, {"key": "a secret", "on_conflict": on_conflict})
    text = (await ingest.http.get("/metrics")).text
    for on_conflict, count in (("return", 1), ("reject", 1), ("replace", 1)):
        line = f'millstream_unique_conflicts_total{{on_conflict="{on_conflict}",type="email.send"}} {count}.0'
        assert line in text
    assert "a secret" not in text


async def post_plain(ingest, payload, **headers):
    """Submit a job that says nothing of a key."""
    return await ingest.http.post("/v1/jobs", json={"type": "email.send", "payload": payload}, headers=headers)
