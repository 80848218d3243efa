"""Every GET answers in both encodings with what can be shown, whatever is in Redis, and never with a 500."""

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from fuzz.garbage import HOSTILE_MSGPACK, mutations, packed_payloads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest.serving import JSON, MSGPACK, Ingest, patient, running_ingest
from leftovers import delete_namespace
from msgspec.msgpack import Ext
from streams.seeds import ERROR, commit, seed, seed_dead, seed_running

from millstream_contracts import (
    DEFAULT_TENANT,
    Job,
    JobError,
    JobId,
    JobSpec,
    JobType,
    Priority,
    Progress,
    Queue,
    Succeeded,
    TypePolicy,
    TypeRegistration,
    WorkerInfo,
    moment,
)
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.response import encode
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker
from millstream_streams.reading.views import job_from_fields

QUEUE = Queue(DEFAULT_TENANT, JobType("any"))
LISTS = (
    "/v1/jobs",
    "/v1/jobs?state=queued",
    "/v1/jobs?state=running",
    "/v1/jobs?state=scheduled",
    "/v1/jobs?state=dead",
    "/v1/jobs?limit=1",
    "/v1/dead",
    "/v1/dead?type=any",
    "/v1/queues",
    "/v1/queues/any",
    "/v1/types",
    "/v1/types/any",
    "/v1/workers",
)
pack = msgspec.msgpack.encode

ODD_VALUES = {
    **HOSTILE_MSGPACK,
    "arrays 900 deep": b"\x91" * 900 + b"\xc0",
    "maps 900 deep": b"\x81\xa1a" * 900 + b"\xc0",
    "an array of 900 deep ones": b"\x92" + (b"\x91" * 900 + b"\xc0") * 2,
    "keys of every kind": b"\x86\xc0\x01\xc3\x02\xc4\x01\xff\x03\x07\x04\xca\x7f\xc0\x00\x00\x05\xa1a\x06",
    "a key that is an array": b"\x81\x92\x01\xc4\x01\xff\x01",
    "an extension in a map": pack({"a": [Ext(7, b"\x00\xff")]}),
    "a timestamp in a map": b"\x81\xa1a\xd6\xff\x00\x00\x00\x01",
    "floats that are no numbers": pack([math.nan, math.inf, -math.inf]),
    "integers of 64 bits": pack([(1 << 64) - 1, -(1 << 63)]),
    "NUL": pack({"a\0": "\0"}),
}
ODD_NUMBERS = [b"", b"x", b"-1", b"1.5", b"nan", b"inf", b"1e300", b"9" * 19, b"9" * 20, b"9" * 5_000, b"\xff", b" 7 "]
NUMBER_FIELDS = (
    "version",
    "attempts",
    "deliveries",
    "crashes",
    "handbacks",
    "run_at",
    "expires_at",
    "started_at",
    "finished_at",
    "ready_at",
)
BLOB_FIELDS = ("spec", "result", "error", "progress")
TEXT_FIELDS = ("state", "priority", "worker", "reason", "cancel", "entry", "token")


@pytest.fixture
async def ingest(broker: Broker, redis_url: str, namespace: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest, and delete its keys at the end."""
    async with running_ingest(
        patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0, drain_s=0.0))
    ) as running:
        yield running
    await delete_namespace(broker.client, namespace)


async def read(ingest: Ingest, path: str, *statuses: int) -> dict[str, Any]:
    """Read a path in both encodings; each response must have one of these statuses, by default 200."""
    shown: dict[str, Any] = {}
    for encoding in (MSGPACK, JSON):
        response = await ingest.http.get(path, headers={"accept": encoding})
        assert response.status_code in (statuses or (200,)), (path, response.text)
        if response.status_code == 200 and encoding == MSGPACK:
            msgspec.msgpack.decode(response.content)
        else:
            shown = json.loads(response.content)
    return shown


async def read_all(ingest: Ingest, *ids: JobId) -> None:
    """Read every list, page by page, and these jobs."""
    for path in LISTS:
        page = await read(ingest, path, 200, 404)
        for _ in range(20):
            if not page.get("next_cursor"):
                break
            joint = "&" if "?" in path else "?"
            page = await read(ingest, f"{path}{joint}cursor={page['next_cursor']}")
    for job_id in ids:
        await read(ingest, f"/v1/jobs/{job_id}", 200, 404)
        await read(ingest, f"/v1/jobs/{job_id}?wait=0.01", 200, 404)


async def jobs_of_every_state(broker: Broker) -> list[JobId]:
    """Store a dead job, a finished one, a running, a scheduled and a queued one."""
    await broker.registry.add_queues([QUEUE])
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=QUEUE.type, policy=TypePolicy())])
    dead = await seed_dead(broker, QUEUE)
    done = await seed_running(broker, QUEUE)
    await commit(broker, done, Succeeded(msgspec.Raw(pack(1))))
    running = await seed_running(broker, QUEUE)
    return [dead, done.id, running.id, *await seed(broker, QUEUE, delay_ms=10**7), *await seed(broker, QUEUE)]


def spec(payload: bytes, **fields: Any) -> bytes:
    """Return the spec of a job with a payload that ingest would refuse."""
    return pack(JobSpec(payload=msgspec.Raw(payload), created_at_ms=1_700_000_000_000, **fields))


async def test_jobs_with_any_payload_and_result_are_shown(ingest: Ingest, broker: Broker) -> None:
    """A job with any stored payload and result is shown, and so is the job beside it."""
    ids = await jobs_of_every_state(broker)
    keys = broker.keys.of(QUEUE)
    for name, value in ODD_VALUES.items():
        for job_id in ids:
            await broker.client.hset(keys.job(job_id), mapping={"spec": spec(value), "result": value})
        assert (await read(ingest, f"/v1/jobs/{ids[1]}"))["id"] == ids[1], name
    await read_all(ingest, *ids)


@pytest.mark.parametrize("field", [*NUMBER_FIELDS, *BLOB_FIELDS, *TEXT_FIELDS])
async def test_jobs_with_a_broken_field_are_shown_without_it(ingest: Ingest, broker: Broker, field: str) -> None:
    """A job with a broken field is shown without that field."""
    ids = await jobs_of_every_state(broker)
    keys = broker.keys.of(QUEUE)
    values = ODD_NUMBERS if field in NUMBER_FIELDS else [*ODD_NUMBERS, *list(HOSTILE_MSGPACK.values())[:12], b"\x00"]
    for value in values:
        for job_id in ids:
            await broker.client.hset(keys.job(job_id), field, value)
        for path in ("/v1/jobs", "/v1/dead", "/v1/queues/any", f"/v1/jobs/{ids[0]}", f"/v1/jobs/{ids[1]}"):
            await read(ingest, path, 200, 404)


@pytest.mark.parametrize("place", ["job", "ready", "due", "dlq", "events", "settings", "queues", "types", "workers"])
@pytest.mark.parametrize("kind", ["string", "set"])
async def test_key_of_another_type_hides_only_what_it_should_hold(
    ingest: Ingest, broker: Broker, place: str, kind: str
) -> None:
    """A key of a wrong Redis type hides only its own contents."""
    ids = await jobs_of_every_state(broker)
    keys = broker.keys.of(QUEUE)
    at = {
        "job": keys.job(ids[0]),
        "ready": keys.ready[1],
        "due": keys.due,
        "dlq": keys.dlq,
        "events": keys.events,
        "settings": keys.settings,
        "queues": broker.keys.queues,
        "types": broker.keys.types,
        "workers": broker.keys.workers,
    }[place]
    await broker.client.delete(at)
    await broker.client.execute_command(*{"string": ("SET", at, "x"), "set": ("SADD", at, "x")}[kind])
    await read_all(ingest, *ids)


async def test_strange_entries_in_streams_and_sets_are_passed_over(ingest: Ingest, broker: Broker) -> None:
    """Strange entries in streams and sets are skipped, and cursors lead past them."""
    ids = await jobs_of_every_state(broker)
    keys = broker.keys.of(QUEUE)
    for stream in (*keys.ready, keys.dlq):
        for fields in ({"x": "y"}, {"id": b"\xff"}, {"id": ""}, {"id": "a b/c:{}"}, {"id": "any_00nothing"}):
            await broker.client.xadd(stream, fields)
    await broker.client.zadd(
        keys.due, {b"\xff": 1.5, "": -5, "a b:c": 2, "any_00nothing": math.inf, "low": -math.inf, "far": 1e300}
    )
    await read_all(ingest, *ids)
    for state, job_id in zip(("dead", "running", "scheduled", "queued"), [ids[0], *ids[2:]], strict=True):
        found: list[str] = []
        cursor = ""
        for _ in range(30):
            page = await read(ingest, f"/v1/jobs?state={state}&limit=1{cursor}")
            found += [item["id"] for item in page["items"]]
            if not page["next_cursor"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == [job_id], state


async def test_strange_queues_types_and_workers_are_passed_over(ingest: Ingest, broker: Broker) -> None:
    """Registry entries that can be decoded are shown as they are, and the others are left out."""
    await jobs_of_every_state(broker)
    client, keys = broker.client, broker.keys
    strange = ["UPPER/00", "/00", "a b/00", "x/-1", "x/fffffffff", "é/00", "x/1_0"]
    await client.sadd(keys.queues, *(f"default/{tag}" for tag in strange), b"default/\xff/00")
    registration = TypeRegistration(type=JobType("odd"), policy=TypePolicy())
    schemas = [
        {"type": 7},
        {"pattern": "(?<=a)b("},
        {"$ref": "http://127.0.0.1/x"},
        {"$ref": "#/nowhere"},
        {"a": [math.nan, b"\xff", Ext(5, b"x"), moment(0)]},
        {"minimum": 1 << 63},
        json.loads('{"not":' * 200 + "{}" + "}" * 200),
    ]
    for number, schema in enumerate(schemas):
        odd = msgspec.structs.replace(registration, type=JobType(f"odd{number}"), payload_schema=schema)
        await client.hset(keys.types, f"default/odd{number}", pack(odd))
    for name, value in HOSTILE_MSGPACK.items():
        await client.hset(keys.types, f"default/{name}", value)
        await client.hset(keys.workers, name, value)
        raw = pack({"type": "raw", "policy": {}, "payload_schema": {"a": msgspec.Raw(value or b"\xc0")}})
        await client.hset(keys.types, f"default/raw {name}", raw)
    worker = WorkerInfo(name="w", types=["\0"], concurrency=-1, started_at=moment(0), seen_at=moment(0), state="\ud7ff")
    await client.hset(keys.workers, "w", pack(worker))
    naive = msgspec.to_builtins(worker) | {"name": "naive", "seen_at": "2020-01-01T00:00:00"}
    await client.hset(keys.workers, "naive", pack(naive))
    await read_all(ingest)
    shown = {item["type"] for item in (await read(ingest, "/v1/types?limit=500"))["items"]}
    assert {"any", *(f"odd{number}" for number in range(len(schemas)))} <= shown
    assert {item["type"] for item in (await read(ingest, "/v1/queues?limit=500"))["items"]} >= {"any"}
    for number in range(len(schemas)):
        response = await ingest.http.post("/v1/jobs", json={"type": f"odd{number}", "payload": {}})
        assert response.status_code in {202, 422}


_keys = st.one_of(
    st.text(max_size=3).filter(lambda text: text.isprintable()).map(pack),
    st.integers(-5, 300).map(pack),
    st.sampled_from([b"\xc0", b"\xc3", b"\xc4\x01\xff", b"\xcb\x7f\xf8" + b"\x00" * 6, b"\x91\x01", b"\x90"]),
)


def _map(members: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    pairs = st.lists(st.tuples(_keys, members), max_size=4)
    return pairs.map(lambda found: bytes([0x80 | len(found)]) + b"".join(key + value for key, value in found))


def _array(members: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(members, max_size=4).map(lambda found: bytes([0x90 | len(found)]) + b"".join(found))


values = st.recursive(
    packed_payloads | st.sampled_from([value for value in ODD_VALUES.values() if len(value) < 10_000]),
    lambda members: _array(members) | _map(members),
    max_leaves=12,
)
"""MessagePack of every kind, valid or not: maps with keys of any type, extensions, deep nesting."""

VALID = [
    spec(b"\x81\xa1a\x01", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01", tags={"a": "b"}, max_attempts=3),
    pack(ERROR),
    pack(Progress(50.0, "half")),
]


large = settings(
    suppress_health_check=[HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.too_slow]
)
"""A few of the values are of a megabyte."""


def check_shown(shown: Job | None) -> None:
    """Check that a job can be answered in both encodings."""
    assert shown is not None
    for encoding in Encoding:
        encode(shown, encoding)
        encode([shown], encoding)


@large
@given(values, values)
def test_any_stored_value_can_be_shown(payload: bytes, result: bytes) -> None:
    """A job is answered in both encodings whatever its payload and its result are."""
    check_shown(job_from_fields(QUEUE, JobId("a"), {b"state": b"queued", b"spec": spec(payload), b"result": result}))


_fields = st.fixed_dictionaries(
    {b"state": st.sampled_from([b"queued", b"running", b"dead", b"succeeded"])},
    optional={
        **{name.encode(): mutations(*VALID) for name in BLOB_FIELDS},
        **{name.encode(): st.binary(max_size=30) | st.sampled_from(ODD_NUMBERS) for name in NUMBER_FIELDS},
        b"priority": st.binary(max_size=9) | st.sampled_from([priority.encode() for priority in Priority]),
        b"worker": st.binary(max_size=9),
        b"reason": st.binary(max_size=9),
        b"cancel": st.binary(max_size=2),
    },
)


@large
@given(_fields)
def test_any_stored_hash_can_be_shown(fields: dict[bytes, bytes]) -> None:
    """A job is answered in both encodings whatever the fields of its hash are."""
    check_shown(job_from_fields(QUEUE, JobId("a"), fields))
    check_shown(job_from_fields(QUEUE, JobId("a"), fields, brief=True))


def test_error_of_a_job_may_hold_any_text() -> None:
    """A job with any texts in its error is shown."""
    error = JobError(type="\ud7ff", message="\0" * 10, traceback="x" * 10_000, attempt=-(1 << 62))
    fields = {b"state": b"dead", b"error": pack(error)}
    check_shown(job_from_fields(QUEUE, JobId("a"), fields))
