"""Nothing that a job of an encrypted type carries stands in Redis as it is, and its handler and readers have it."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from streams.seeds import events
from waiting import wait_until
from workers.floor import Floor, queue_of_id, queue_of_type

from millstream import App, Context, DeadJob, DurableContext, Retry
from millstream_codec import Codec, Keyring, keys_of_text
from millstream_contracts import DEFAULT_TENANT, Coding, JobId, JobSpec, JobState, TenantEncryption, new_job_id
from millstream_runtime import Secret, SettingsError
from millstream_streams import HISTORY_GROUP, Broker, NewJob, StoredTenant, StoreUnavailableError, open_broker
from millstream_streams.reading.consumers import make_group
from millstream_workers.service import check_tenants
from millstream_workers.settings import WorkerSettings

KEYS = "kek1:" + base64.b64encode(b"1" * 32).decode()
OTHER_KEYS = "kek2:" + base64.b64encode(b"2" * 32).decode()
CANARY = "canary-4711"
ENCRYPT = Coding(encrypt=True)


def codec(keys: str = KEYS) -> Codec:
    """Return the codec of a process with these keys."""
    return Codec(keyring=Keyring(keys_of_text(keys)))


@pytest.fixture
async def ours(floor: Floor, redis_url: str) -> AsyncIterator[Broker]:
    """Yield the broker of a process that has the keys."""
    async with open_broker(redis_url, namespace=floor.broker.keys.namespace, codec=codec()) as opened:
        yield opened


async def submit(ours: Broker, job_type: str, payload: Any = CANARY, coding: Coding = ENCRYPT) -> JobId:
    """Store an encrypted job as ingest would."""
    queue = queue_of_type(job_type)
    spec = JobSpec(payload=msgspec.Raw(msgspec.msgpack.encode(payload)), created_at_ms=1)
    job = NewJob(id=new_job_id(queue), spec=msgspec.msgpack.encode(spec), coding=coding)
    await ours.store.enqueue(queue, [job])
    return job.id


async def encrypt_all(broker: Broker, word: str = TenantEncryption.ALL) -> None:
    """Have all jobs of the tenant encrypted, or those of types that say so."""
    read = await broker.tenants.get(DEFAULT_TENANT)
    assert await broker.tenants.put_tenant(DEFAULT_TENANT, read, StoredTenant(encryption=word))


async def whole_store(floor: Floor) -> bytes:
    """Return all that Redis has of this test, as one text."""
    return await whole_store_of(floor.broker)


async def whole_store_of(broker: Broker) -> bytes:
    """Return all that Redis has of a namespace, as one text."""
    client, found = broker.client, []
    async for key in client.scan_iter(f"{broker.keys.namespace}:*"):
        kind = (await client.type(key)).decode()
        if kind == "none":
            continue  # gone since
        read = {
            "hash": client.hgetall,
            "string": client.get,
            "set": client.smembers,
            "zset": lambda name: client.zrange(name, 0, -1),
            "stream": client.xrange,
            "list": lambda name: client.lrange(name, 0, -1),
        }[kind]
        found.append(repr((key, await read(key))))
    return "\n".join(found).encode()


async def test_nothing_of_an_encrypted_job_stands_in_redis(floor: Floor, ours: Broker) -> None:
    """Payload, result, error and note are encrypted; the handler and readers with the keys have them."""
    app, seen = App("shop"), []

    @app.job("pay", encrypted=True, retry=Retry(max_attempts=2, base=0.0))
    async def pay(payload: str, ctx: Context) -> str:
        seen.append(payload)
        ctx.progress(50.0, f"half of {payload}")
        if ctx.attempt == 1:
            raise ValueError(payload)
        return payload

    # Errors and log lines go with events where a history reads these.
    await make_group(ours.client, ours.keys.of(queue_of_type("pay")).events, HISTORY_GROUP)
    await floor.hire(app, encryption_keys=Secret(KEYS))
    job_id = await submit(ours, "pay")
    await wait_until(lambda: len(seen) > 0, "it has run")
    await wait_until(lambda: floor.broker.store.release_due(queue_of_id(job_id)), "it is tried again")
    await floor.settled(job_id)
    stored = await whole_store(floor)
    assert job_id.encode() in stored
    assert CANARY.encode() not in stored
    job = await ours.views.job(queue_of_id(job_id), job_id)
    assert job is not None
    assert (seen, job.payload, job.result, job.encrypted) == ([CANARY] * 2, CANARY, CANARY, True)
    assert job.error is not None
    assert job.error.message == CANARY
    assert job.progress is not None
    assert job.progress.note == f"half of {CANARY}"
    failed = [one for event in await events(ours, queue_of_id(job_id)) for one in event.jobs if one.error]
    assert [(one.error.message, one.error.type) for one in failed if one.error] == [("", "ValueError")]


async def test_steps_are_encrypted(floor: Floor, ours: Broker) -> None:
    """What a step has given is encrypted in Redis, and a later delivery has it as it was."""
    app, ran = App("shop"), []

    @app.job("pay", encrypted=True, retry=Retry(max_attempts=2, base=0.0))
    async def pay(payload: str, ctx: DurableContext) -> str:
        async def charge() -> str:
            ran.append(payload)
            return payload

        found = await ctx.step("charge", charge)
        if ctx.attempt == 1:
            raise ValueError("again")
        return found

    await floor.hire(app, encryption_keys=Secret(KEYS))
    job_id = await submit(ours, "pay")
    await wait_until(lambda: bool(ran), "the step has run")
    assert CANARY.encode() not in await whole_store(floor)
    await wait_until(lambda: floor.broker.store.release_due(queue_of_id(job_id)), "it is tried again")
    await floor.settled(job_id)
    job = await ours.views.job(queue_of_id(job_id), job_id)
    assert job is not None
    assert (job.state, job.result, ran) == (JobState.SUCCEEDED, CANARY, [CANARY])


async def test_readers_without_the_keys_see_that_it_is_encrypted(floor: Floor, ours: Broker) -> None:
    """A process without the keys shows a job without its payload, and says that it is encrypted."""
    job_id = await submit(ours, "pay")
    job = await floor.job(job_id)
    assert (job.payload, job.encrypted) == (None, True)
    await ours.store.cancel(queue_of_id(job_id), [job_id])


async def test_a_job_whose_key_is_lost_is_dead_and_runs_when_it_is_back(floor: Floor, ours: Broker) -> None:
    """Without the key a job does not reach its handler and is dead as undecryptable; redriven with it, it runs."""
    app, seen = App("shop"), []

    @app.job("pay", encrypted=True)
    async def pay(payload: str) -> None:
        seen.append(payload)

    blind = await floor.hire(app, encryption_keys=Secret(OTHER_KEYS))
    async with open_broker(
        ours.address, namespace=ours.keys.namespace, codec=codec(f"{OTHER_KEYS},{KEYS}")
    ) as with_both:
        assert with_both.codec.keyring is not None
        job_id = await submit(ours, "pay")
        # The worker writes with a key that it has.
        await with_both.codec.keyring.rotate("default")
    dead = await floor.settled(job_id)
    assert (dead.state, dead.reason, seen) == (JobState.DEAD, "undecryptable", [])
    blind.orders.stop.set()
    await wait_until(blind.is_gone.is_set, "the worker without the key is gone")
    await floor.hire(app, encryption_keys=Secret(f"{KEYS},{OTHER_KEYS}"))
    await ours.store.redrive(queue_of_id(job_id), [job_id])
    assert (await floor.settled(job_id)).state is JobState.SUCCEEDED
    assert seen == [CANARY]


async def test_nothing_is_stored_as_it_is_where_there_is_no_key(floor: Floor) -> None:
    """A process without keys does not store a job of an encrypted type."""
    with pytest.raises(StoreUnavailableError, match="MILLSTREAM_ENCRYPTION_KEYS is unset"):
        await submit(floor.broker, "pay")
    assert CANARY.encode() not in await whole_store(floor)


async def test_a_dead_letter_is_told_of_without_its_payload(floor: Floor, ours: Broker) -> None:
    """The job of `on_dead` need not be encrypted, so it has no payload of one that is."""
    told: list[DeadJob] = []
    app = App("shop")

    @app.job("alarm")
    async def alarm(letter: DeadJob) -> None:
        told.append(letter)

    @app.job("pay", encrypted=True, retry=Retry(max_attempts=1), on_dead=alarm)
    async def pay(payload: str) -> None:
        raise ValueError(payload)

    await floor.hire(app, encryption_keys=Secret(KEYS))
    await submit(ours, "pay")
    await wait_until(lambda: bool(told), "the dead letter is announced")
    assert told[0].payload is None
    assert CANARY.encode() not in await whole_store(floor)


async def test_all_jobs_of_a_tenant_are_encrypted_where_it_says_so(floor: Floor, ours: Broker) -> None:
    """Of a type that declares nothing, all that its jobs give and the children that they submit are encrypted."""
    await encrypt_all(floor.broker)
    app, seen = App("shop"), []

    @app.job("receipt")
    async def receipt(payload: str) -> None:
        seen.append(payload)

    @app.job("pay", retry=Retry(max_attempts=2, base=0.0))
    async def pay(payload: str, ctx: DurableContext) -> str:
        async def charge() -> str:
            return payload

        found = await ctx.step("charge", charge)
        ctx.progress(50.0, f"half of {found}")
        if ctx.attempt == 1:
            raise ValueError(payload)
        await ctx.submit("receipt", payload, idempotency_key="receipt")
        return payload

    await make_group(ours.client, ours.keys.of(queue_of_type("pay")).events, HISTORY_GROUP)
    await floor.hire(app, encryption_keys=Secret(KEYS))
    job_id = await submit(ours, "pay", coding=Coding())
    await wait_until(lambda: floor.broker.store.release_due(queue_of_id(job_id)), "it is tried again")
    await floor.settled(job_id)
    await wait_until(lambda: seen == [CANARY], "the child has run")
    assert CANARY.encode() not in await whole_store(floor)
    job = await ours.views.job(queue_of_id(job_id), job_id)
    assert job is not None
    assert (job.state, job.payload, job.result, job.encrypted) == (JobState.SUCCEEDED, CANARY, CANARY, True)


async def test_a_job_that_is_stored_encrypted_stays_so(floor: Floor, ours: Broker) -> None:
    """What a job gives is encrypted where its payload is, also once its tenant does not ask for that any more."""
    await encrypt_all(floor.broker)
    job_id = await submit(ours, "pay", coding=Coding())
    await encrypt_all(floor.broker, TenantEncryption.INHERIT)
    app = App("shop")

    @app.job("pay")
    async def pay(payload: str) -> str:
        return payload

    await floor.hire(app, encryption_keys=Secret(KEYS))
    await floor.settled(job_id)
    assert CANARY.encode() not in await whole_store(floor)
    job = await ours.views.job(queue_of_id(job_id), job_id)
    assert job is not None
    assert job.result == CANARY


async def test_a_worker_without_any_keys_leaves_such_jobs_to_others(floor: Floor, ours: Broker) -> None:
    """Where a worker has no keys at all, an encrypted job waits for one that has them, and costs no attempt."""
    app, seen = App("shop"), []

    @app.job("pay")
    async def pay(payload: str, ctx: Context) -> None:
        seen.append((payload, ctx.attempt))

    await floor.hire(app)
    await encrypt_all(floor.broker)
    job_id = await submit(ours, "pay", coding=Coding())

    async def is_put_off() -> bool:
        return (await floor.job(job_id)).state is JobState.SCHEDULED

    await wait_until(is_put_off, "the worker has put it off")
    blind = floor.hired.pop()
    blind.orders.stop.set()
    await wait_until(blind.is_gone.is_set, "the worker without keys is gone")
    await floor.hire(app, encryption_keys=Secret(KEYS))

    async def is_done() -> bool:
        await floor.broker.store.release_due(queue_of_id(job_id))
        return bool(seen)

    await wait_until(is_done, "it has run")
    assert seen == [(CANARY, 1)]


async def test_a_worker_without_keys_does_not_start_for_such_a_tenant(floor: Floor) -> None:
    """A worker without keys that serves a tenant whose jobs are encrypted is refused, and the tenant is named."""
    settings = WorkerSettings()
    await check_tenants(settings, floor.broker)
    await encrypt_all(floor.broker)
    with pytest.raises(SettingsError, match=r"`default` are stored encrypted.*MILLSTREAM_ENCRYPTION_KEYS"):
        await check_tenants(settings, floor.broker)
    await check_tenants(WorkerSettings(tenants=("acme",)), floor.broker)
    await check_tenants(WorkerSettings(encryption_keys=Secret(KEYS)), floor.broker)
