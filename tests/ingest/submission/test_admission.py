"""Ingest admits jobs of known types whose payloads fit their schemas."""

import socket
from datetime import timedelta

import msgspec
import pytest
from ingest.serving import MSGPACK, packed, pointers, problem, running_ingest
from msgspec.structs import replace
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, TypePolicy, TypeRegistration
from millstream_streams import open_broker
from millstream_submission.payload_schema import MAX_ERRORS, PayloadSchema, compile_schema
from millstream_submission.type_catalogue import TypeCatalogue
from millstream_telemetry import MetricRegistry


def registration(job_type: str, schema: dict | None = None, **policy) -> TypeRegistration:
    """Return a registration of a type by a worker."""
    return TypeRegistration(type=JobType(job_type), policy=TypePolicy(**policy), payload_schema=schema)


async def test_payload_that_fits_its_schema_is_accepted(registered, ingest):
    """A payload that fits the registered schema is accepted."""
    await ingest.submit(payload={"to": "ada@example.org", "copies": 1})


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ({"to": 7}, "/payload/to"),
        ({"to": "a", "copies": -1}, "/payload/copies"),
        ({"copies": 1}, "/payload/to"),
        ({"to": "a", "cc": "b"}, "/payload/cc"),
        ([], "/payload"),
        (None, "/payload"),
    ],
)
async def test_payload_that_does_not_fit_is_refused_with_pointers(registered, ingest, payload, pointer):
    """A payload that does not fit is refused with pointers into the request's body."""
    for content, content_type in (
        (packed({"type": "email.send", "payload": payload}), MSGPACK),
        (b'{"type":"email.send","payload":%s}' % msgspec.json.encode(payload), "application/json"),
    ):
        response = await ingest.http.post("/v1/jobs", content=content, headers={"content-type": content_type})
        assert pointers(problem(response, 422, "invalid-request")) == [pointer]
    assert (await ingest.get("/v1/jobs"))["items"] == []


async def test_bytes_are_checked_as_the_text_that_json_would_have(broker, ingest):
    """Bytes in MessagePack are checked as the base64 string that JSON would have."""
    schema = {"properties": {"data": {"type": "string"}}}
    await broker.registry.add_types(DEFAULT_TENANT, [registration("file.store", schema)])
    body = packed({"type": "file.store", "payload": {"data": b"\x00"}})
    response = await ingest.http.post("/v1/jobs", content=body, headers={"content-type": MSGPACK})
    assert response.status_code == 202


async def test_item_of_a_batch_points_to_its_place(registered, ingest):
    """The pointer of an item's error begins with the place of the item in the batch."""
    jobs = [{"type": "email.send", "payload": {"to": "a"}}, {"type": "email.send", "payload": {"to": 1}}]
    response = await ingest.http.post("/v1/jobs/batch", json={"jobs": jobs})
    first, second = response.json()["items"]
    assert first["status"] == 202
    assert pointers(second["problem"]) == ["/jobs/1/payload/to"]


async def test_type_that_nobody_registered_is_refused_once_any_is(registered, ingest):
    """Once any type is registered, an unknown type is refused with the nearest known name."""
    response = await ingest.http.post("/v1/jobs", json={"type": "email.sned"})
    document = problem(response, 422, "invalid-request")
    assert pointers(document) == ["/type"]
    assert "did you mean `email.send`" in document["errors"][0]["detail"]


async def test_any_type_is_accepted_before_the_first_worker_has_come(ingest):
    """Before the first registration any type is accepted, so that a producer may be deployed first."""
    await ingest.submit("no.worker.yet")


async def test_unknown_types_are_accepted_where_the_settings_say_so(broker, settings, registered):
    """With `unknown_types="accept"` an unknown type is accepted."""
    async with running_ingest(replace(settings, unknown_types="accept")) as ingest:
        await ingest.submit("no.worker.yet")


async def test_new_registration_holds_without_a_restart(ingest, broker):
    """A new registration takes effect without a restart of ingest."""
    await broker.registry.add_types(DEFAULT_TENANT, [registration("email.send")])
    await wait_until(lambda: is_refused(ingest, "other.type"), "the registration is known")
    await broker.registry.add_types(DEFAULT_TENANT, [registration("other.type", {"type": "string"})])

    async def is_enforced() -> bool:
        response = await ingest.http.post("/v1/jobs", json={"type": "other.type", "payload": 1})
        return pointers(response.json()) == ["/payload"]

    await wait_until(is_enforced, "the new schema is enforced")


async def is_refused(ingest, job_type: str) -> bool:
    """Return whether a submission of this type is refused."""
    response = await ingest.http.post("/v1/jobs", json={"type": job_type})
    return response.status_code == 422


async def test_catalogue_asks_redis_only_when_it_is_asked(broker, redis_url, namespace):
    """The catalogue reads the types when a request needs them, at most once a second, and not while idle."""
    catalogue = TypeCatalogue(broker.registry, MetricRegistry())
    await broker.registry.add_types(DEFAULT_TENANT, [registration("a")])
    assert list(await catalogue.of(DEFAULT_TENANT)) == ["a"]
    await broker.registry.add_types(DEFAULT_TENANT, [registration("b")])
    assert list(await catalogue.of(DEFAULT_TENANT)) == ["a"]


async def test_catalogue_keeps_what_it_knows_while_redis_is_away(own_redis):
    """The catalogue keeps its types while Redis is away, so that a submission gets 503 and not 422."""
    async with open_broker(own_redis.url, patience_s=0.0) as broker:
        await broker.registry.add_types(DEFAULT_TENANT, [registration("a")])
        catalogue = TypeCatalogue(broker.registry, MetricRegistry())
        await catalogue.of(DEFAULT_TENANT)
        own_redis.close()
        catalogue._fresh_until.clear()
        assert list(await catalogue.of(DEFAULT_TENANT)) == ["a"]


async def test_schema_is_compiled_once_per_registration(broker):
    """A schema is compiled once per registration."""
    catalogue = TypeCatalogue(broker.registry, MetricRegistry())
    await broker.registry.add_types(DEFAULT_TENANT, [registration("a", {"type": "string"})])
    first = (await catalogue.of(DEFAULT_TENANT))[JobType("a")]
    catalogue._fresh_until.clear()
    assert (await catalogue.of(DEFAULT_TENANT))[JobType("a")] is first


@pytest.mark.parametrize("schema", [{"type": 12}, {"$ref": "#/nowhere"}, {"pattern": "("}])
def test_schema_that_cannot_be_used_checks_nothing(schema):
    """A schema that cannot be compiled checks nothing, so that a worker's defect refuses no job."""
    assert compile_schema(JobType("a"), schema) is None


def test_reference_to_elsewhere_is_never_followed():
    """A reference in a schema to another server is never followed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert compile_schema(JobType("a"), {"$ref": f"http://127.0.0.1:{port}/x"}) is None
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_refusal_lists_a_bounded_number_of_errors():
    """A refusal lists a bounded number of errors."""
    schema = PayloadSchema({"items": {"type": "string"}})
    errors = schema.errors([1] * 1000)
    assert len(errors) == MAX_ERRORS
    assert errors[3].pointer == "/payload/3"


def test_detail_of_a_long_value_is_cut():
    """The detail of an error is cut when the value that it quotes is long."""
    (error,) = PayloadSchema({"type": "integer"}).errors("x" * 100_000)
    assert len(error.detail) < 400


@pytest.fixture
async def mixed(broker):
    """Register two releases: the older one accepts text and alone handles `old.only`, the newer one accepts numbers."""

    async def begin(worker, at_ms, *registrations):
        await broker.registry.add_types(
            DEFAULT_TENANT, registrations, worker=worker, started_at_ms=at_ms, alive_for=timedelta(minutes=5)
        )

    text, number = {"type": "string"}, {"type": "integer"}
    await begin("w1", 1, registration("a", text, partitions=1), registration("old.only", text))
    await begin("w2", 2, registration("a", number, partitions=256))


@pytest.mark.parametrize("payload", ["text", 7])
async def test_payload_that_any_live_release_takes_is_accepted(mixed, ingest, payload):
    """A payload that fits the schema of any live release is accepted, alone and in a batch."""
    await ingest.submit("a", payload=payload)
    response = await ingest.http.post("/v1/jobs/batch", json={"jobs": [{"type": "a", "payload": payload}]})
    assert [item["status"] for item in response.json()["items"]] == [202]


async def test_payload_that_no_live_release_takes_is_refused_as_the_newest_has_it(mixed, ingest):
    """A payload that fits no live release is refused with the errors of the newest schema."""
    response = await ingest.http.post("/v1/jobs", json={"type": "a", "payload": None})
    (error,) = problem(response, 422, "invalid-request")["errors"]
    assert error == {"pointer": "/payload", "detail": "expected an integer, got null"}
    (shown,) = [one for one in (await ingest.get("/v1/types"))["items"] if one["type"] == "a"]
    assert shown["payload_schema"] == {"type": "integer"}


async def test_job_goes_where_the_release_that_takes_it_looks(mixed, ingest):
    """A job goes to a partition that the accepting release reads."""
    jobs = [await ingest.submit("a", payload="text") for _ in range(8)]
    assert {job["id"].partition("_")[2][:2] for job in jobs} == {"00"}


async def test_type_that_only_an_older_release_handles_is_known(mixed, ingest):
    """A type that only an older release handles is known while its workers live."""
    await ingest.submit("old.only", payload="text")


async def test_payload_of_a_release_that_is_gone_is_refused(mixed, ingest, broker):
    """A payload that only a departed release could read is refused."""
    await ingest.submit("a", payload="text")
    await broker.registry.leave("w1")

    async def is_refused_now():
        response = await ingest.http.post("/v1/jobs", json={"type": "a", "payload": "text"})
        return response.status_code == 422

    await wait_until(is_refused_now, "the schema of the older release holds no longer")
    await ingest.submit("a", payload=7)


async def test_schemas_are_compiled_once_though_their_order_changes(broker, mixed):
    """A schema is not compiled again when the order of the releases changes."""
    catalogue = TypeCatalogue(broker.registry, MetricRegistry())
    newest = (await catalogue.of(DEFAULT_TENANT))[JobType("a")]
    await broker.registry.leave("w2")
    catalogue._fresh_until.clear()
    left = (await catalogue.of(DEFAULT_TENANT))[JobType("a")]
    assert (left.schema, left.others) == (newest.others[0].schema, ())


@pytest.mark.parametrize("form", ["single", "batch"])
async def test_a_type_counts_from_the_moment_that_its_worker_has_registered_it(
    broker, registered, ingest, monkeypatch, form
):
    """A type counts from its registration on: before a refusal, types read earlier are read again."""
    monkeypatch.setattr("millstream_submission.type_catalogue.FRESH_FOR_S", 600.0)
    monkeypatch.setattr("millstream_submission.type_catalogue.READ_AGAIN_AFTER_S", 0.0)
    await ingest.submit(payload={"to": "ada@example.org"})
    await broker.registry.add_types(DEFAULT_TENANT, [registration("email.burn")], worker="new:1:a")
    if form == "single":
        response = await ingest.http.post("/v1/jobs", json={"type": "email.burn"})
        assert response.status_code == 202
    else:
        response = await ingest.http.post("/v1/jobs/batch", json={"jobs": [{"type": "email.burn"}]})
        assert [item["status"] for item in response.json()["items"]] == [202]
    refused = await ingest.http.post("/v1/jobs", json={"type": "email.brun"})
    assert pointers(problem(refused, 422, "invalid-request")) == ["/type"]
