"""The API decrypts for those who may read payloads, and for no others."""

import base64
from collections.abc import AsyncIterator

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem, running_ingest
from msgspec.structs import replace
from streams.seeds import TTL_MS, nonce

from millstream_codec import Codec, Keyring, keys_of_text
from millstream_contracts import (
    DEFAULT_TENANT,
    Dead,
    JobError,
    JobType,
    MintedKey,
    Progress,
    Queue,
    Role,
    TypePolicy,
    TypeRegistration,
)
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker, Commit, open_broker

KEYS = "kek1:" + base64.b64encode(b"1" * 32).decode()
CANARY = "canary-4711"
QUEUE = Queue(DEFAULT_TENANT, JobType("pay"))


@pytest.fixture
async def pay(broker: Broker) -> None:
    """Register a type whose jobs are encrypted."""
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(QUEUE.type, TypePolicy(encrypted=True))])


@pytest.fixture
def settings(settings: IngestSettings) -> IngestSettings:
    """Return the settings of an ingest that has the keys."""
    return replace(settings, encryption_keys=Secret(KEYS))


@pytest.fixture
async def ours(broker: Broker, redis_url: str) -> AsyncIterator[Broker]:
    """Yield the broker of a worker that has the keys."""
    codec = Codec(keyring=Keyring(keys_of_text(KEYS)))
    async with open_broker(redis_url, namespace=broker.keys.namespace, codec=codec) as opened:
        yield opened


async def dead_job(ingest: Ingest, ours: Broker, admin: MintedKey) -> str:
    """Submit a job with a secret, and let it die with one. Return its id."""
    job = {"type": "pay", "payload": {"card": CANARY}}
    stored = await ingest.http.post("/v1/jobs", json=job, headers=bearer(admin))
    assert stored.status_code == 202, stored.text
    claim = await ours.store.claim(QUEUE, consumer="w1", nonce=nonce(), limit=1)
    [delivery] = claim.deliveries
    error = JobError("ValueError", CANARY, "v2:1", f"Traceback {CANARY}", 1)
    progress, coding = Progress(50.0, CANARY), TypePolicy(encrypted=True).coding
    commit = Commit(delivery, Dead("attempts", error), TTL_MS, progress=progress, coding=coding)
    await ours.store.commit(QUEUE, worker="w1", commits=[commit])
    return str(stored.json()["id"])


async def test_who_may_read_payloads_reads_them(
    pay: None, ingest: Ingest, ours: Broker, admin: MintedKey, give: Give
) -> None:
    """An admin has the payload, the error and the note; a viewer has none, and is told that they are encrypted."""
    viewer = await give(Role.VIEWER)
    job_id = await dead_job(ingest, ours, admin)
    fields = await ours.client.hgetall(ours.keys.of(QUEUE).job(job_id))
    assert CANARY.encode() not in b"".join(fields.values())
    for path in (f"/v1/jobs/{job_id}", "/v1/jobs?state=dead", "/v1/dead"):
        answer = await ingest.http.get(path, headers=bearer(viewer))
        assert answer.status_code == 200, answer.text
        assert CANARY not in answer.text, path
        assert '"encrypted":true' in answer.text, path
        assert CANARY in (await ingest.http.get(path, headers=bearer(admin))).text, path
    shown = (await ingest.http.get(f"/v1/jobs/{job_id}", headers=bearer(admin))).json()
    assert (shown["payload"], shown["encrypted"]) == ({"card": CANARY}, True)
    assert (shown["error"]["message"], shown["progress"]["note"]) == (CANARY, CANARY)


async def test_a_submission_is_refused_where_there_is_no_key(
    pay: None, broker: Broker, settings: IngestSettings, admin: MintedKey
) -> None:
    """An ingest without keys takes no job of an encrypted type, and takes others."""
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(JobType("other"), TypePolicy())])
    async with running_ingest(replace(settings, encryption_keys=None)) as blind:
        job = {"type": "pay", "payload": CANARY}
        refused = await blind.http.post("/v1/jobs", json=job, headers=bearer(admin))
        problem(refused, 503, "store-unreachable")
        other = await blind.http.post("/v1/jobs", json={"type": "other"}, headers=bearer(admin))
        assert other.status_code == 202, other.text
