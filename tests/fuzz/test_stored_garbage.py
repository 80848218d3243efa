"""Garbage in Redis costs its own job a clear reason, and stops no other job, worker, reaper or request."""

import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from fuzz.garbage import HOSTILE_MSGPACK
from ingest.serving import patient, running_ingest
from leftovers import delete_namespace
from streams.seeds import seed
from waiting import wait_until
from workers.floor import Floor, queue_of_type

from millstream import App, Context
from millstream_contracts import JobSpec, JobState
from millstream_ingest.settings import IngestSettings
from millstream_reaper.recoverer import Recoverer
from millstream_streams import Broker
from millstream_telemetry import JobTracer, MetricRegistry, ReaperMetrics

app = App("tolerant")


@app.job("any")
async def take_anything(payload: Any, ctx: Context) -> Any:
    """Return the payload."""
    return payload


@app.job("raw")
async def take_raw(payload: msgspec.Raw) -> int:
    """Declare an undecoded payload."""
    return len(bytes(payload))


@app.job("none")
async def take_nothing() -> None:
    """Declare no payload."""


def spec(**fields: Any) -> bytes:
    """Return a spec that ingest would not write."""
    return msgspec.msgpack.encode(
        JobSpec(**{"payload": msgspec.Raw(b"\x01"), "created_at_ms": 1_700_000_000_000, **fields})
    )


UNREADABLE_SPECS = {
    **HOSTILE_MSGPACK,
    "text": b"hello",
    "a map": b"\x81\xa7payload\x01",
    "an array that is too short": b"\x91\x01",
    "the time a text": b"\x92\x01\xa3now",
    "more behind it": spec() + b"\x00",
    "a backoff of no kind": b"\x97\x01\x01\xa0\xa0\xc0\xc0\x81\xa4kind\xa1x",
}

ODD_SPECS = {
    "timeout negative": spec(timeout_s=-1.0),
    "timeout endless": spec(timeout_s=math.inf),
    "attempts negative": spec(max_attempts=-5),
    "attempts beyond counting": spec(max_attempts=1 << 63),
    "made in a far future": spec(created_at_ms=1 << 62),
    "made in a far past": spec(created_at_ms=-(1 << 62)),
    "a trace of no kind": spec(traceparent="garbage", tracestate="\0\n"),
    "a trace in other digits": spec(traceparent="00-zz-zz-zz"),
    "from a newer release": spec()[:0] + b"\x99\x01\x01\xa0\xa0\xc0\xc0\xc0\xc0\xa3new",
}
"""Specs that are readable and make little sense. Their jobs are run."""

BROKEN_FIELDS: dict[str, list[bytes | None]] = {
    "error": [b"", b"\xff\xff", b"\x80", b"\x91" * 5_000],
    "progress": [b"", b"\xff", b"\x80"],
    "ready_at": [b"soon", b"", b"1e999", None],
    "attempts": [b"many", b"1.5", b"-3", b"99999999999999999999"],
    "crashes": [b"nan", b"inf", b""],
    "deliveries": [b"x", b"1e300"],
    "version": [b"x", b"-1"],
    "run_at": [b"x"],
    "expires_at": [b"x", b"nan"],
    "priority": [b"urgent", b"\xff"],
    "worker": [b"\xff\xfe"],
    "reason": [b"\xff\xfe"],
}


async def run_between(
    floor: Floor, broker: Broker, job_type: str, name: str, value: bytes | None
) -> dict[bytes, bytes]:
    """Break a field of a job between two others, run all three, and return the broken one."""
    queue = queue_of_type(job_type)
    before, spoilt, after = [await floor.submit(job_type, 1) for _ in range(3)]
    key = broker.keys.of(queue).job(spoilt)
    await (broker.client.hdel(key, name) if value is None else broker.client.hset(key, name, value))
    await floor.hire(app, concurrency=2)
    for job_id in (before, after):
        assert (await floor.settled(job_id)).state is JobState.SUCCEEDED

    async def has_ended() -> bool:
        floor.check()
        return await broker.client.hget(key, "state") in {b"succeeded", b"dead", b"expired"}

    await wait_until(has_ended, f"the job with {name}={value!r} ends")
    # A list with it and its neighbours is a page, not an error.
    shown = await broker.views.jobs(queue, [before, spoilt, after])
    assert [job.id for job in shown if job.id != spoilt] == [before, after]
    msgspec.json.encode(
        [shown, await broker.views.job(queue, spoilt), await broker.views.dead_letters(queue, [spoilt])]
    )
    return await broker.client.hgetall(key)


@pytest.fixture
async def tidy(broker: Broker) -> AsyncIterator[None]:
    """Delete the broken keys."""
    yield
    await delete_namespace(broker.client, broker.keys.namespace)


@pytest.fixture(scope="module", autouse=True)
def short_steps() -> Iterator[None]:
    """Let lease keepers look more often, because each test waits for some to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("millstream_workers.keeping.lease_keeper.POLL_S", 0.02)
        yield


pytestmark = pytest.mark.usefixtures("tidy")


@pytest.mark.parametrize("job_type", ["any", "raw", "none"])
@pytest.mark.parametrize("blob", [*UNREADABLE_SPECS.values(), None], ids=[*UNREADABLE_SPECS, "missing"])
async def test_job_whose_spec_is_unreadable_is_buried(floor, broker, job_type, blob):
    """A job with an unreadable spec is buried with a reason, and the jobs beside it run."""
    fields = await run_between(floor, broker, job_type, "spec", blob)
    assert (fields[b"state"], fields[b"reason"]) == (b"dead", b"invalid_payload")


@pytest.mark.parametrize("blob", ODD_SPECS.values(), ids=ODD_SPECS)
async def test_job_whose_spec_is_odd_is_run(floor, broker, blob):
    """A job whose stored spec is beyond the bounds of ingest runs once at least."""
    fields = await run_between(floor, broker, "any", "spec", blob)
    assert fields[b"state"] == b"succeeded"


async def test_timeout_that_is_no_number_ends_the_job(floor, broker):
    """A timeout that is no number ends its job, and affects no timer of the others."""
    blob = spec(timeout_s=math.nan, max_attempts=1)
    fields = await run_between(floor, broker, "any", "spec", blob)
    assert fields[b"state"] in {b"succeeded", b"dead"}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BROKEN_FIELDS.items() for value in values]
)
async def test_job_with_a_broken_field_stops_nobody(floor, broker, name, value):
    """A job with any broken field stops neither the worker nor a list."""
    await run_between(floor, broker, "any", name, value)


@pytest.mark.parametrize("name", ["spec", "error", "ready_at", "deliveries", "crashes"])
@pytest.mark.parametrize("value", [b"\xff\xff", b"", None])
async def test_reaper_recovers_the_neighbours_of_a_broken_job(broker, name, value):
    """A job with a broken hash does not stop the recovery of the others of its worker."""
    queue = queue_of_type("any")
    await broker.registry.add_queues([queue])
    ids = await seed(broker, queue, 3)
    await broker.store.claim(queue, consumer="gone", nonce="n", limit=3)
    key = broker.keys.of(queue).job(ids[1])
    await (broker.client.hdel(key, name) if value is None else broker.client.hset(key, name, value))
    recoverer = Recoverer(
        broker.store,
        broker.registry,
        ReaperMetrics(MetricRegistry()),
        JobTracer(None),
        lease_s=0.0,
        max_crashes=3,
        interval_s=1.0,
    )
    await recoverer.run_once()
    states = [await broker.client.hget(broker.keys.of(queue).job(one), "state") for one in (ids[0], ids[2])]
    assert states == [b"queued", b"queued"]


@pytest.mark.parametrize("blob", HOSTILE_MSGPACK.values(), ids=HOSTILE_MSGPACK)
async def test_registry_entry_that_is_garbage_hides_only_itself(broker, redis_url, namespace, blob):
    """A garbage entry of the registry is skipped by submissions and lists, and the reaper still forgets workers."""
    await broker.client.hset(broker.keys.types, "default/broken", blob)
    await broker.client.hset(broker.keys.workers, "broken", blob)
    await broker.client.sadd(broker.keys.queues, blob, b"a/b", b"a/b/zz/d", b"\xff/\xff/00")
    async with running_ingest(patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0))) as ingest:
        await ingest.submit("any")
        for path in ("/v1/types", "/v1/workers", "/v1/queues", "/v1/jobs", "/v1/dead"):
            assert (await ingest.http.get(path)).status_code == 200, path
