"""A handler may submit exactly what a client may: each rule is tried over HTTP and with a child."""

import base64
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from ingest.serving import JSON, MSGPACK, Ingest, patient, running_ingest
from intakes import intake_of
from msgspec import Raw
from msgspec.msgpack import Ext

from millstream_contracts import (
    DEFAULT_TENANT,
    FieldError,
    JobState,
    JobType,
    Queue,
    TypePolicy,
    TypeRegistration,
    limits,
)
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, StoredTemplate, StoreUnavailableError
from millstream_submission import Dependencies, KnownQueues, Members
from millstream_telemetry import JobTracer, TraceContext
from millstream_workers.children.child_jobs import ChildSubmitter
from millstream_workers.children.refusals import InvalidChildError

Submit = Callable[[bytes], Awaitable[bool]]

SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "copies": {"type": "integer", "minimum": 0}},
    "required": ["to"],
}
TOMORROW = datetime.now(UTC) + timedelta(days=1)


def nested(depth: int) -> Any:
    """Return nested arrays of this depth."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "delay and run_at": ({"delay_s": 5.0, "run_at": TOMORROW.isoformat()}, ["/delay_s"]),
    "expires before it may run": ({"delay_s": 100.0, "expires_in_s": 1.0}, ["/expires_in_s"]),
    "expires as it may run": ({"delay_s": 5.0, "expires_in_s": 5.0}, ["/expires_in_s"]),
    "expires at a time before run_at": (
        {"run_at": TOMORROW.isoformat(), "expires_at": (TOMORROW - timedelta(hours=1)).isoformat()},
        ["/expires_at"],
    ),
    "expires_at and expires_in": ({"expires_in_s": 9.0, "expires_at": TOMORROW.isoformat()}, ["/expires_in_s"]),
    "a time without a zone": ({"run_at": "2030-01-01T00:00:00"}, ["/run_at"]),
    "a time before 1970": ({"run_at": "1969-01-01T00:00:00Z"}, ["/run_at"]),
    "a time in a hundred years": ({"expires_at": "2130-01-01T00:00:00Z"}, ["/expires_at"]),
    "several at once": (
        {"delay_s": 5.0, "run_at": TOMORROW.isoformat(), "tags": {"a": "\0"}},
        ["/tags", "/delay_s"],
    ),
    "NUL in a tag": ({"tags": {"a": "b\0"}}, ["/tags"]),
    "NUL in the name of a tag": ({"tags": {"a\0": "b"}}, ["/tags"]),
    "too many tags": ({"tags": {f"t{n}": "" for n in range(limits.MAX_TAGS + 1)}}, ["/tags"]),
    "a long tag": ({"tags": {"a": "x" * (limits.MAX_TAG_CHARS + 1)}}, ["/tags"]),
    "an empty key": ({"key": ""}, ["/key"]),
    "a key of too many bytes": ({"key": "é" * 128}, ["/key"]),
    "NUL in the key": ({"key": "a\0"}, ["/key"]),
    "no key in the field for it": ({"type": "bill.send", "payload": {"order": {"of": [1]}}}, ["/payload/order/of"]),
    "NUL in the payload": ({"payload": {"a": ["\0"]}}, ["/payload/a/0"]),
    "NUL in a key": ({"payload": [{"a\0": 1}]}, ["/payload/0"]),
    "keys that are no text": ({"payload": {1: 2}}, ["/payload"]),
    "keys of bytes": ({"payload": {"a": {b"k": 2}}}, ["/payload/a"]),
    "nested too deep": ({"payload": nested(81)}, ["/payload" + "/0" * limits.MAX_PAYLOAD_DEPTH]),
    "too many values": ({"payload": [0] * 60_000}, ["/payload"]),
    "NaN": ({"payload": {"x": [1.0, math.nan]}}, ["/payload/x/1"]),
    "Infinity": ({"payload": -math.inf}, ["/payload"]),
    "a timestamp beyond the calendar": ({"payload": {"at": Ext(-1, b"\0" * 4 + b"\x7f" * 8)}}, ["/payload"]),
    "an extension": ({"payload": [Ext(5, b"x")]}, ["/payload/0"]),
    "a large payload": ({"payload": "x" * limits.MAX_PAYLOAD_BYTES}, ["/payload"]),
    "no priority": ({"priority": "urgent"}, ["/priority"]),
    "an unknown parent": ({"after": ["a_0001M8F0J0D5F8TT85935GNVHDXK"]}, ["/after/0"]),
    "a policy without parents": ({"after_failure": "run"}, ["/after_failure"]),
    "no attempts": ({"max_attempts": 0}, ["/max_attempts"]),
    "a negative delay": ({"delay_s": -1.0}, ["/delay_s"]),
    "no timeout": ({"timeout_s": 0.0}, ["/timeout_s"]),
    "a backoff of no kind": ({"backoff": {"kind": "magic"}}, ["/backoff/kind"]),
    "an unknown field": ({"dealy_s": 1.0}, ["/dealy_s"]),
    "no name of a type": ({"type": "No Type"}, ["/type"]),
    "an unknown type": ({"type": "email.sent"}, ["/type"]),
    "a payload of another schema": ({"type": "email.send", "payload": {"to": 7, "copies": -1}}, []),
    "a payload without a field": ({"type": "email.send"}, ["/payload"]),
}
NOT_ALIKE_IN_JSON = {
    "NaN",
    "Infinity",
    "an extension",
    "a timestamp beyond the calendar",
    "keys that are no text",
    "keys of bytes",
    "a large payload",
}
"""Cases that JSON cannot express, or expresses as text or in another number of bytes."""

ACCEPTED: dict[str, dict[str, Any]] = {
    "nothing else": {},
    "a delay and a later end": {"delay_s": 5.0, "expires_in_s": 6.0},
    "a time and a later end": {
        "run_at": TOMORROW.isoformat(),
        "expires_at": (TOMORROW + timedelta(hours=1)).isoformat(),
    },
    "nested as deep as it may be": {"payload": nested(limits.MAX_PAYLOAD_DEPTH)},
    "as many values as there may be": {"payload": [0] * limits.MAX_PAYLOAD_VALUES},
    "integers of 64 bits": {"payload": [-(1 << 63), (1 << 64) - 1]},
    "a timestamp": {"payload": {"at": TOMORROW}},
    "a key of as many bytes as it may have": {"key": "x" * limits.MAX_KEY_BYTES},
    "a key in the payload": {"type": "bill.send", "payload": {"order": {"of": 17}}},
    "a payload that fits": {"type": "email.send", "payload": {"to": "ada@example.org"}},
}


@pytest.fixture
async def registered(broker: Broker) -> None:
    """Register two types, one of them with a schema, as workers do."""
    await broker.registry.add_types(
        DEFAULT_TENANT,
        [
            TypeRegistration(type=JobType("a"), policy=TypePolicy()),
            TypeRegistration(type=JobType("bill.send"), policy=TypePolicy(key="order.of")),
            TypeRegistration(type=JobType("email.send"), policy=TypePolicy(), payload_schema=SCHEMA),
        ],
    )


@pytest.fixture
async def ingest(registered: None, broker: Broker, redis_url: str, namespace: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest."""
    async with running_ingest(
        patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0, drain_s=0.0))
    ) as running:
        yield running


@pytest.fixture
async def submitter(registered: None, broker: Broker) -> ChildSubmitter:
    """Return the submitter of handlers."""
    return ChildSubmitter(
        broker.store,
        KnownQueues(broker.registry),
        intake_of(broker, unknown_types="refuse"),
        JobTracer(None),
        DEFAULT_TENANT,
        clock=broker.clock.now_s,
        dependencies=Dependencies(broker.dependencies, broker.views),
        members=Members(broker.batches),
    )


@pytest.fixture(params=["client", "handler"])
def submit(request: pytest.FixtureRequest, ingest: Ingest, submitter: ChildSubmitter) -> Submit:
    """Return a function that submits over HTTP or as a child, and returns whether the job was stored."""

    async def by_client(content: bytes) -> bool:
        headers = {"content-type": MSGPACK}
        return (await ingest.http.post("/v1/jobs", content=content, headers=headers)).status_code == 202

    async def by_handler(content: bytes) -> bool:
        try:
            await submitter.submit(TraceContext(""), [("", content)])
        except StoreUnavailableError:
            return False
        return True

    return {"client": by_client, "handler": by_handler}[request.param]


async def test_queue_is_known_before_a_job_is_in_it(
    submit: Submit, ingest: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue is registered before its first job is stored."""
    known: list[list[Queue]] = []
    for store in (broker.store, ingest.services.broker.store):
        monkeypatch.setattr(store, "enqueue", _noting(store.enqueue, broker, known))
    assert await submit(content_of({}))
    assert known == [[Queue(DEFAULT_TENANT, JobType("a"))]]


def _noting(enqueue: Any, broker: Broker, known: list[list[Queue]]) -> Any:
    async def noting(*arguments: Any, **options: Any) -> Any:
        known.append(await broker.registry.queues())
        return await enqueue(*arguments, **options)

    return noting


async def test_queue_that_could_not_be_made_known_is_made_known_by_the_next_submission(
    submit: Submit, ingest: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submission whose queue cannot be registered stores nothing, and the next one registers it."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    with monkeypatch.context() as patch:
        for registry in (broker.registry, ingest.services.broker.registry):
            patch.setattr(registry, "add_queues", _away)
        assert not await submit(content_of({}))
    assert sum((await broker.store.measure(queue)).queued) == 0
    assert await submit(content_of({}))
    assert await broker.registry.queues() == [queue]
    assert sum((await broker.store.measure(queue)).queued) == 1


async def _away(_: object) -> None:
    raise StoreUnavailableError("away")


async def test_a_template_fills_up_submissions_and_children(submit: Submit, broker: Broker) -> None:
    """A client and a handler are given the same defaults."""
    queue = Queue(DEFAULT_TENANT, JobType("a"))
    fields = {"type": Raw(msgspec.msgpack.encode("a")), "max_attempts": Raw(msgspec.msgpack.encode(7))}
    await broker.templates.put(DEFAULT_TENANT, "b", StoredTemplate(fields, "", 0))
    assert await submit(msgspec.msgpack.encode({"template": "b"}))
    [job] = (await broker.listing.jobs([queue], JobState.QUEUED, cursor=None, limit=10)).items
    assert job.max_attempts == 7


def content_of(fields: dict[str, Any]) -> bytes:
    """Return a submission in MessagePack with this content."""
    return msgspec.msgpack.encode({"type": "a", **fields})


async def over_http(ingest: Ingest, body: bytes, content_type: str) -> tuple[int, list[FieldError]]:
    """Return the status of the API, and the fields that its problem names."""
    response = await ingest.http.post("/v1/jobs", content=body, headers={"content-type": content_type, "accept": JSON})
    return response.status_code, [FieldError(**error) for error in response.json().get("errors", [])]


@pytest.mark.parametrize("name", REFUSED)
async def test_child_is_refused_for_what_the_api_refuses(
    ingest: Ingest, submitter: ChildSubmitter, broker: Broker, name: str
) -> None:
    """A child is refused with the fields and the words of the API, and nothing is stored."""
    fields, pointers = REFUSED[name]
    content = content_of(fields)
    status, errors = await over_http(ingest, content, MSGPACK)
    assert status in {413, 422}
    with pytest.raises(InvalidChildError) as caught:
        await submitter.submit(TraceContext(""), [("", content)])
    assert caught.value.errors == errors
    assert [error.pointer for error in errors] == pointers or (not pointers and errors)
    for error in errors:
        assert error.pointer in str(caught.value)
    assert await broker.registry.queues() == []


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - NOT_ALIKE_IN_JSON))
async def test_both_encodings_are_refused_alike(ingest: Ingest, name: str) -> None:
    """The API refuses a submission in JSON with the same fields and words as in MessagePack."""
    fields, _ = REFUSED[name]
    in_json = await over_http(ingest, msgspec.json.encode({"type": "a", **fields}), JSON)
    assert in_json == await over_http(ingest, content_of(fields), MSGPACK)


@pytest.mark.parametrize("name", ACCEPTED)
async def test_child_is_accepted_for_what_the_api_accepts(
    ingest: Ingest, submitter: ChildSubmitter, broker: Broker, name: str
) -> None:
    """A child is accepted if the API accepts it, and the stored jobs are equal except for what each has of its own."""
    content = content_of(ACCEPTED[name])
    response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": MSGPACK, "accept": JSON})
    assert response.status_code == 202
    [child] = await submitter.submit(TraceContext(""), [("", content)])
    shown = await ingest.get(f"/v1/jobs/{child}")
    same = ("type", "state", "priority", "payload", "tags", "max_attempts", "timeout_s")
    assert {name: shown[name] for name in same} == {name: response.json()[name] for name in same}


async def test_bytes_are_a_payload_of_both(ingest: Ingest, submitter: ChildSubmitter) -> None:
    """Bytes are accepted as a payload from both, stored as they are, and shown as base64."""
    content = content_of({"payload": {"data": b"\x00\xff"}})
    [child] = await submitter.submit(TraceContext(""), [("", content)])
    assert (await over_http(ingest, content, MSGPACK))[0] == 202
    shown = await ingest.get(f"/v1/jobs/{child}")
    assert base64.b64decode(shown["payload"]["data"]) == b"\x00\xff"


async def test_one_bad_child_of_many_keeps_all_from_being_stored(submitter: ChildSubmitter, broker: Broker) -> None:
    """One bad child among many stores none of them."""
    contents = [(f"/{n}", content_of({"payload": math.nan if n == 150 else n})) for n in range(200)]
    with pytest.raises(InvalidChildError) as caught:
        await submitter.submit(TraceContext(""), contents)
    assert [error.pointer for error in caught.value.errors] == ["/150/payload"]
    assert await broker.registry.queues() == []
