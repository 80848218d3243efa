"""Batches over HTTP: what is submitted is followed and shown, and what breaks a rule is refused by its place."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from ingest.serving import MSGPACK, Ingest
from msgspec.structs import replace

from millstream_contracts import (
    BATCH_TAGS,
    DEFAULT_TENANT,
    BatchEvent,
    BatchId,
    JobId,
    JobType,
    MemberState,
    TypePolicy,
    TypeRegistration,
    limits,
    queue_of,
)
from millstream_ingest.api.routes import batch_examples as examples
from millstream_ingest.submission.batch_request import MEMBER_CALLS
from millstream_streams import Batches, Broker, JobStore, Promised, StoreUnavailableError
from millstream_submission import GroupCommitter

PATH = "/v1/batches"
ROWS = [{"type": "row", "payload": number} for number in range(3)]
REPORT = {"type": "report", "payload": {"to": "ann"}}
UNKNOWN = "BA_000001KBCSZ4000ABCDEFGHJKM"


async def create(ingest: Ingest, key: str = "", status: int = 202, **fields: Any) -> dict[str, Any]:
    """Make a batch; return the answer."""
    headers = {"idempotency-key": key} if key else {}
    response = await ingest.http.post(PATH, json={"name": "import", **fields}, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


async def opened(ingest: Ingest, **fields: Any) -> str:
    """Make an open batch; return its path."""
    return f"{PATH}/{(await create(ingest, open=True, **fields))['id']}"


async def add(
    ingest: Ingest, path: str, jobs: Any = ROWS, *, status: int = 207, headers: Mapping[str, str] = {}, **query: str
) -> dict[str, Any]:
    """Submit members; return the answer."""
    response = await ingest.http.post(f"{path}/jobs", json={"jobs": jobs}, params=query, headers=dict(headers))
    assert response.status_code == status, response.text
    return response.json()


async def members(ingest: Ingest, path: str, **query: Any) -> list[str]:
    """Return the ids of the members of a batch."""
    page = await ingest.get(f"{path}/jobs", **query)
    return sorted(item["job"] for item in page["items"])


def faults(answer: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong by its place."""
    return {error["pointer"]: error["detail"] for error in answer["errors"]}


async def test_a_batch_of_jobs_is_one_request(ingest: Ingest) -> None:
    """The jobs are stored as members of a batch that is closed, and each leads back to it."""
    made = await create(ingest, jobs=ROWS, on_complete=REPORT, retention_s=7200)
    assert (made["name"], made["state"], made["total"], made["counts"]) == ("import", "running", 3, {"pending": 3})
    assert made["retention_s"] == 7200
    assert "expires_at" not in made
    found = await members(ingest, f"{PATH}/{made['id']}")
    jobs = [await ingest.get(f"/v1/jobs/{job_id}") for job_id in found]
    assert sorted(job["payload"] for job in jobs) == [0, 1, 2]
    assert {job["batch"] for job in jobs} == {made["id"]}
    assert made["callbacks"].keys() == {"on_complete"}
    assert made["callbacks"]["on_complete"]["fired"] is False


async def test_the_answer_says_where_the_batch_is(ingest: Ingest) -> None:
    """The header leads to the batch, which is read as it was answered."""
    response = await ingest.http.post(PATH, json={"name": "import", "open": True})
    assert await ingest.get(response.headers["location"]) == response.json()


async def test_an_open_batch_takes_members_until_it_is_closed(ingest: Ingest) -> None:
    """Members are accepted one by one; a closed batch refuses them all, and to close it again changes nothing."""
    path = await opened(ingest)
    receipt = await add(ingest, path, [*ROWS, {"type": "-"}])
    assert (receipt["accepted"], receipt["rejected"]) == (3, 1)
    assert receipt["items"][3]["problem"]["errors"][0]["pointer"] == "/jobs/3/type"
    for _ in range(2):
        closed = await ingest.http.post(f"{path}/close")
        assert (closed.status_code, closed.json()["state"], closed.json()["total"]) == (200, "running", 3)
    answer = await add(ingest, path, status=409)
    assert answer["type"].endswith("batch-closed")
    assert await members(ingest, path) == sorted(item["id"] for item in receipt["items"][:3])


async def test_members_of_a_large_request_are_stored_a_few_loads_at_a_time(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loads of members have a call each: all of them at once would keep each other from being in time."""
    enqueue, under_way, most = JobStore.enqueue, set[int](), 0

    async def counted(self: JobStore, *args: Any, **options: Any) -> Any:
        nonlocal most
        under_way.add(id(args[1]))
        most = max(most, len(under_way))
        try:
            return await enqueue(self, *args, **options)
        finally:
            under_way.remove(id(args[1]))

    monkeypatch.setattr(JobStore, "enqueue", counted)
    path = await opened(ingest)
    receipt = await add(ingest, path, [{"type": "row", "payload": number} for number in range(2_000)])
    assert (receipt["accepted"], (await ingest.get(path))["total"]) == (2_000, 2_000)
    assert most <= MEMBER_CALLS


async def test_a_strict_request_adds_all_or_none(ingest: Ingest) -> None:
    """With `handling=strict` a bad job keeps the others out of the batch too."""
    path = await opened(ingest)
    await add(ingest, path, [*ROWS, {"type": "-"}], status=422, headers={"prefer": "handling=strict"})
    assert (await ingest.get(path))["total"] == 0


async def test_lines_of_jobs_are_members_too(ingest: Ingest) -> None:
    """The bodies are those of any submission of many jobs."""
    path = await opened(ingest)
    lines = b"\n".join(msgspec.json.encode(row) for row in ROWS)
    response = await ingest.http.post(f"{path}/jobs", content=lines, headers={"content-type": "application/x-ndjson"})
    assert response.json()["accepted"] == 3
    assert (await ingest.get(path))["counts"] == {"pending": 3}


async def test_a_member_adds_to_a_closed_batch(ingest: Ingest) -> None:
    """A member that has not ended may add others although the batch is closed; a job that is none may not."""
    made = await create(ingest, jobs=ROWS[:1])
    path = f"{PATH}/{made['id']}"
    [member] = await members(ingest, path)
    await add(ingest, path, ROWS[1:], by=member)
    assert (await ingest.get(path))["total"] == 3
    stranger = (await ingest.submit("row"))["id"]
    refused = await add(ingest, path, by=stranger)
    assert [item["status"] for item in refused["items"]] == [409] * 3
    await ingest.http.post(f"/v1/jobs/{member}/cancel")
    assert (await ingest.http.post(f"{path}/jobs", json={"jobs": ROWS}, params={"by": "?"})).status_code == 400


async def test_the_same_key_adds_the_same_members(ingest: Ingest, broker: Broker) -> None:
    """A repetition of an addition adds nothing, and is answered with the ids of the first."""
    path = await opened(ingest)
    first, second = [await add(ingest, path, headers={"idempotency-key": "k"}) for _ in range(2)]
    assert [item["id"] for item in second["items"]] == [item["id"] for item in first["items"]]
    assert all(item["replayed"] for item in second["items"])
    assert await members(ingest, path) == sorted(item["id"] for item in first["items"])


async def test_the_same_key_is_the_same_batch(ingest: Ingest) -> None:
    """A repetition of a creation is answered with the batch of the first, and another one under its key is refused."""
    first, second = [await create(ingest, key="k", jobs=ROWS, on_death=REPORT) for _ in range(2)]
    assert second == first
    refused = await create(ingest, key="k", jobs=ROWS[:1], status=422)
    assert refused["type"].endswith("idempotency-key-reused")


async def test_a_repetition_fills_what_was_cut_short(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A creation with a key that found Redis away half way goes on when it is repeated, and no job is doubled."""
    enqueue, calls = GroupCommitter.enqueue, []

    def once_away(self: GroupCommitter, *args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise StoreUnavailableError("away")
        return enqueue(self, *args, **options)

    monkeypatch.setattr(GroupCommitter, "enqueue", once_away)
    jobs = [*ROWS, {"type": "other"}]
    await create(ingest, key="k", jobs=jobs, status=503)
    made = await create(ingest, key="k", jobs=jobs)
    assert made["state"] == "running"
    # Whether what failed was stored is for a dispatcher to find out: until then it is promised.
    found = [await ingest.http.get(f"/v1/jobs/{one}") for one in await members(ingest, f"{PATH}/{made['id']}")]
    stored = [response.json() for response in found if response.status_code == 200]
    assert sorted((job["type"], job["payload"]) for job in stored) == [
        ("other", None),
        ("row", 0),
        ("row", 1),
        ("row", 2),
    ]


async def test_a_batch_without_a_key_that_is_cut_short_is_cancelled(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No repetition would find it, so it does not stay open with half of its jobs."""

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(GroupCommitter, "enqueue", away)
    await create(ingest, jobs=ROWS, status=503)
    [found] = (await ingest.get(PATH))["items"]
    assert found["state"] in {"cancelling", "cancelled"}
    assert found["reason"] == "its jobs could not be stored"


async def test_nothing_is_stored_when_a_job_is_refused(ingest: Ingest) -> None:
    """A creation with a bad job or a bad callback names each fault, and makes no batch."""
    answer = await create(ingest, jobs=[*ROWS, {"type": "-"}], status=422)
    assert list(faults(answer)) == ["/jobs/3/type"]
    times = {**REPORT, "run_at": "2030-01-01T00:00:00Z", "expires_at": "2031-01-01T00:00:00Z", "after": ["row_1"]}
    answer = await create(ingest, jobs=ROWS, on_success={"type": "-"}, on_death=times, status=422)
    assert list(faults(answer)) == ["/on_success/type", "/on_death/run_at", "/on_death/expires_at", "/on_death/after"]
    assert (await ingest.get(PATH))["items"] == []


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "/open"),
        ({"open": True, "name": "A b"}, "/name"),
        ({"open": True, "expires_in_s": 1}, "/expires_in_s"),
        ({"open": True, "retention_s": 1}, "/retention_s"),
        ({"open": True, "jobs": []}, "/jobs"),
        ({"open": True, "on_end": REPORT}, "/on_end"),
    ],
    ids=["no-jobs", "name", "expiry", "retention", "empty", "unknown"],
)
async def test_a_field_that_is_wrong_is_named(ingest: Ingest, fields: dict[str, Any], pointer: str) -> None:
    """Each field has its bounds."""
    answer = await create(ingest, status=422, **fields)
    assert list(faults(answer)) == [pointer]


async def test_a_callback_leaves_its_tags_to_the_batch(ingest: Ingest) -> None:
    """Tags that the batch sets, and more than there is room for, are refused."""
    own = {**REPORT, "tags": {BATCH_TAGS[0]: "x"}}
    assert list(faults(await create(ingest, open=True, on_success=own, status=422))) == [
        f"/on_success/tags/{BATCH_TAGS[0]}"
    ]
    many = {**REPORT, "tags": {f"t{number}": "" for number in range(limits.MAX_TAGS - len(BATCH_TAGS) + 1)}}
    assert list(faults(await create(ingest, open=True, on_success=many, status=422))) == ["/on_success/tags"]


async def test_members_and_callbacks_are_checked_by_their_schemas(ingest: Ingest, broker: Broker) -> None:
    """What workers have registered holds for both."""
    schema = {"type": "integer"}
    registrations = [
        TypeRegistration(type=JobType(name), policy=TypePolicy(), payload_schema=schema) for name in ("row", "report")
    ]
    await broker.registry.add_types(DEFAULT_TENANT, registrations)
    answer = await create(ingest, jobs=[{"type": "row", "payload": "x"}], status=422)
    assert list(faults(answer)) == ["/jobs/0/payload"]
    answer = await create(ingest, jobs=ROWS, on_complete=REPORT, status=422)
    assert list(faults(answer)) == ["/on_complete/payload"]


async def test_a_full_batch_takes_no_more(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has so many members at most: a load that goes beyond is refused as a whole."""
    path = await opened(ingest)
    monkeypatch.setattr(limits, "MAX_BATCH_MEMBERS", 4)
    await add(ingest, path)
    refused = await add(ingest, path)
    assert {item["problem"]["type"].rpartition("/")[2] for item in refused["items"]} == {"batch-full"}
    assert (await ingest.get(path))["total"] == 3


async def test_batches_are_listed(ingest: Ingest) -> None:
    """Lists have the newest first, are filtered by the state, and go on page by page."""
    made = [(await create(ingest, open=True, name=f"import-{number}"))["id"] for number in range(3)]
    await ingest.http.post(f"{PATH}/{made[0]}/close")
    page = await ingest.get(PATH, limit=2)
    rest = await ingest.get(PATH, limit=2, cursor=page["next_cursor"])
    assert [one["id"] for one in (*page["items"], *rest["items"])] == made[::-1]
    assert [one["id"] for one in (await ingest.get(PATH, state="open"))["items"]] == made[:0:-1]
    assert (await ingest.http.get(PATH, params={"state": "gone"})).status_code == 400
    assert (await ingest.http.get(PATH, params={"cursor": "bm8"})).status_code == 400


async def test_members_are_listed_page_by_page(ingest: Ingest) -> None:
    """Every member is on one page, all or those in a state."""
    path = await opened(ingest)
    receipt = await add(ingest, path)
    page = await ingest.get(f"{path}/jobs", limit=2)
    rest = await ingest.get(f"{path}/jobs", limit=2, cursor=page["next_cursor"])
    listed = [item["job"] for item in (*page["items"], *rest["items"])]
    assert sorted(listed) == sorted(item["id"] for item in receipt["items"])
    assert await members(ingest, path, state="pending") == sorted(listed)
    assert await members(ingest, path, state="dead") == []
    assert (await ingest.http.get(f"{path}/jobs", params={"cursor": "bm8"})).status_code == 400


async def test_a_batch_is_cancelled(ingest: Ingest) -> None:
    """A cancellation is answered with where the batch is; a cancelled batch takes no members."""
    path = await opened(ingest)
    await add(ingest, path)
    response = await ingest.http.post(f"{path}/cancel")
    assert (response.status_code, response.json()["state"]) == (200, "cancelling")
    assert (await add(ingest, path, status=409))["type"].endswith("batch-closed")


async def test_a_callback_has_fired_before_its_job_is_stored(ingest: Ingest) -> None:
    """An event is told at once, and its job as submitted only when a dispatcher has stored it: none runs here."""
    path = await opened(ingest, on_success=REPORT, on_death=REPORT)
    callbacks = (await ingest.http.post(f"{path}/close")).json()["callbacks"]
    told = {event: (one["fired"], one["submitted"]) for event, one in callbacks.items()}
    assert told == {"on_success": (True, False), "on_death": (False, False)}


async def test_an_empty_batch_has_succeeded_once_it_is_closed(ingest: Ingest) -> None:
    """A batch that is closed without members has ended, so it cannot be cancelled any more."""
    path = await opened(ingest)
    closed = (await ingest.http.post(f"{path}/close")).json()
    assert (closed["state"], closed["total"]) == ("succeeded", 0)
    assert (await ingest.http.post(f"{path}/cancel")).status_code == 409


@pytest.mark.parametrize("batch_id", [UNKNOWN, "email.send_1", "%00", "x" * 300])
async def test_a_batch_that_is_not_there_is_told(ingest: Ingest, batch_id: str) -> None:
    """Whatever is asked for is 404 for an id of none."""
    path = f"{PATH}/{batch_id}"
    responses = [
        await ingest.http.get(path),
        await ingest.http.get(f"{path}/jobs"),
        await ingest.http.post(f"{path}/jobs", json={"jobs": ROWS}),
        await ingest.http.post(f"{path}/close"),
        await ingest.http.post(f"{path}/cancel"),
    ]
    assert [response.status_code for response in responses] == [404] * 5
    assert all(response.json()["type"].endswith("batch-not-found") for response in responses)


async def test_messagepack_is_taken_as_json_is(ingest: Ingest) -> None:
    """Both encodings make the same request: one key is one batch."""
    body = {"name": "import", "jobs": ROWS, "on_success": REPORT}
    first = await create(ingest, key="k", **{name: body[name] for name in ("jobs", "on_success")})
    response = await ingest.http.post(
        PATH, content=msgspec.msgpack.encode(body), headers={"content-type": MSGPACK, "idempotency-key": "k"}
    )
    assert msgspec.msgpack.decode(response.content)["id"] == first["id"]


async def test_a_callback_has_its_id_from_the_beginning(ingest: Ingest, broker: Broker) -> None:
    """The id that a callback will have is in the answer, and says its type."""
    made = await create(ingest, jobs=ROWS, on_success=REPORT, on_death={"type": "alarm"})
    jobs = {event: callback["job"] for event, callback in made["callbacks"].items()}
    queues = {event: queue_of(DEFAULT_TENANT, job_id) for event, job_id in jobs.items()}
    assert {event: queue.type for event, queue in queues.items() if queue} == {
        BatchEvent.SUCCESS: "report",
        BatchEvent.DEATH: "alarm",
    }
    stored = (await broker.batches.read(DEFAULT_TENANT, [BatchId(made["id"])]))[BatchId(made["id"])]
    assert stored.callbacks == {BatchEvent(event): JobId(job_id) for event, job_id in jobs.items()}


async def test_promises_of_jobs_that_are_not_stored_are_taken_back(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repetition by key leaves no member that never was, without waiting for a dispatcher."""
    told: list[Any] = []
    confirm = Batches.confirm

    async def noted(self: Batches, *args: Any, **options: Any) -> Any:
        told.append({name: len(ids) for name, ids in options.items()})
        return await confirm(self, *args, **options)

    monkeypatch.setattr(Batches, "confirm", noted)
    path = await opened(ingest)
    for _ in range(2):
        await add(ingest, path, headers={"idempotency-key": "k"})
    assert told == [{"stored": 3, "absent": 0}, {"stored": 0, "absent": 3}]
    assert (await ingest.get(path))["counts"] == {MemberState.PENDING.value: 3}


async def test_a_job_whose_promise_is_over_is_not_stored(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may have ended by then without it: the client is told to come again, and there is no such job."""
    promise = Batches.promise

    async def just_over(self: Batches, *args: Any, **options: Any) -> Promised:
        return replace(await promise(self, *args, **options), not_after_ms=-1)

    monkeypatch.setattr(Batches, "promise", just_over)
    path = await opened(ingest)
    assert (await add(ingest, path, status=503))["type"].endswith("store-unreachable")
    responses = [await ingest.http.get(f"/v1/jobs/{one}") for one in await members(ingest, path)]
    assert [response.status_code for response in responses] == [404] * 3


@pytest.mark.parametrize("name", list(examples.SUBMISSIONS))
async def test_the_examples_of_the_document_are_accepted(ingest: Ingest, name: str) -> None:
    """What the document shows can be sent as it is."""
    response = await ingest.http.post(PATH, json=examples.SUBMISSIONS[name].value)
    assert response.status_code == 202, response.text
