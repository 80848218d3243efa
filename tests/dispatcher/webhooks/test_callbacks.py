"""Callbacks: the events of a job go to the URL that its submission names, once each."""

import pytest
from dispatcher.webhooks.heralding import (
    CALLS,
    KEYS,
    MAIL,
    URL,
    call_of,
    deliveries,
    herald_of,
    run_all,
    seed_with_callback,
)
from opentelemetry.sdk.trace import TracerProvider
from streams.seeds import commit, seed, seed_dead, take, take_one

from millstream_contracts import DEFAULT_TENANT, Callback, Dead, JobError, JobEvent, JobState, RetryAt
from millstream_dispatcher import event_reader
from millstream_dispatcher.webhooks import event_queues
from millstream_streams import WEBHOOKS_GROUP, Broker, StoreUnavailableError
from millstream_telemetry import JobTracer
from millstream_webhooks import CALLBACKS, Salt, WebhookKeys, signing_secrets

ERROR = JobError("ValueError", "no")
SETTLED = Callback(URL)


async def groups(broker: Broker) -> list[str]:
    """Return the groups that read the events of the queue."""
    found = await broker.client.xinfo_groups(broker.keys.of(MAIL).events)
    return [group["name"].decode() for group in found]


async def test_callback_is_delivered_when_its_job_settles(broker: Broker) -> None:
    """A job with a callback has one delivery when it settles: a signed CloudEvent with the result."""
    job_id = await seed_with_callback(broker, SETTLED)
    await run_all(broker)
    async with herald_of(broker) as duty:
        assert (await duty.run_once()).submitted == 1
    (job,) = await deliveries(broker)
    call = call_of(job)
    assert (call.url, call.endpoint, call.salts) == (URL, CALLBACKS, [Salt(DEFAULT_TENANT)])
    assert call.event_id is not None
    assert call.event_id.startswith("evt_")
    assert (call.body["type"], call.body["subject"], call.body["id"]) == (
        "millstream.job.succeeded",
        job_id,
        call.event_id,
    )
    assert (call.body["data"]["state"], call.body["data"]["result"]) == ("succeeded", {"ok": True})
    assert job.tags == {"endpoint": CALLBACKS, "event": "succeeded", "job": job_id}
    assert signing_secrets(call, KEYS, 0) == KEYS.secrets(CALLBACKS, [DEFAULT_TENANT])


async def test_callback_is_sent_without_a_signature_when_no_key_is_set(broker: Broker) -> None:
    """Without a key of the installation callbacks are delivered unsigned."""
    await seed_with_callback(broker, SETTLED)
    await run_all(broker)
    async with herald_of(broker, keys=WebhookKeys([])) as duty:
        await duty.run_once()
    (job,) = await deliveries(broker)
    assert signing_secrets(call_of(job), KEYS, 0) == []


async def test_callback_gets_the_events_that_it_names_and_no_others(broker: Broker) -> None:
    """Each event that a callback names is a delivery of its own."""
    callback = Callback(URL, [JobEvent.SUBMITTED, JobEvent.STARTED, JobEvent.RETRYING, JobEvent.DEAD])
    await seed_with_callback(broker, callback)
    await commit(broker, await take_one(broker, MAIL), RetryAt(0, ERROR))
    await broker.store.release_due(MAIL)
    await commit(broker, await take_one(broker, MAIL), Dead("attempts", ERROR))
    async with herald_of(broker) as duty:
        await duty.run_once()
    words = [call_of(job).body["type"].rpartition(".")[2] for job in await deliveries(broker)]
    assert words == ["submitted", "started", "retrying", "started", "dead"]
    ids = {call_of(job).event_id for job in await deliveries(broker)}
    assert len(ids) == 5


async def test_event_is_one_job_however_often_and_by_whomever_it_is_read(broker: Broker) -> None:
    """An event that is read again, also by another dispatcher, makes no second delivery."""
    await seed_with_callback(broker, SETTLED)
    await run_all(broker)
    for _ in range(2):
        async with herald_of(broker) as duty:
            await duty.run_once()
        # As if the first had been killed before it acknowledged.
        await broker.client.xgroup_setid(broker.keys.of(MAIL).events, WEBHOOKS_GROUP, "0")
        await broker.client.hset(broker.keys.of(MAIL).callbacks, mapping=_again(await _delivered(broker)))
    assert len(await deliveries(broker)) == 1


async def _delivered(broker: Broker) -> list[str]:
    return [str((job.tags or {})["job"]) for job in await deliveries(broker)]


def _again(ids: list[str]) -> dict[str, str]:
    return dict.fromkeys(ids, f'{{"url":"{URL}"}}')


async def test_events_are_read_by_the_next_dispatcher_when_one_was_killed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a dispatcher has read and not acknowledged is taken over by another."""
    monkeypatch.setattr(event_reader, "ABANDONED_S", 0.0)
    await seed_with_callback(broker, SETTLED)
    await run_all(broker)
    feed = broker.feed(group=WEBHOOKS_GROUP, consumer="killed")
    assert await feed.read([MAIL], entries=10)
    await feed.aclose()
    async with herald_of(broker) as duty:
        assert (await duty.run_once()).submitted == 1


async def test_events_stay_in_hand_when_redis_goes_away(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events whose deliveries could not be stored are delivered in the next pass."""
    await seed_with_callback(broker, SETTLED)
    await run_all(broker)
    async with herald_of(broker) as duty:
        with monkeypatch.context() as patch:
            patch.setattr(type(broker.store), "enqueue", _away)
            with pytest.raises(StoreUnavailableError):
                await duty.run_once()
        assert (await duty.run_once()).submitted == 1
    assert len(await deliveries(broker)) == 1


async def _away(*_: object, **__: object) -> None:
    raise StoreUnavailableError("away")


async def test_event_is_delivered_when_its_job_is_forgotten(broker: Broker) -> None:
    """Of a job that Redis has forgotten, a delivery tells what its event says."""
    job_id = await seed_with_callback(broker, SETTLED)
    await run_all(broker)
    await broker.client.delete(broker.keys.of(MAIL).job(job_id))
    async with herald_of(broker) as duty:
        await duty.run_once()
    (job,) = await deliveries(broker)
    data = call_of(job).body["data"]
    assert (data["id"], data["state"], "result" in data) == (job_id, "succeeded", False)


async def test_delivery_of_a_delivery_does_not_exist(broker: Broker) -> None:
    """A call is a job too, and has no callback, or each would cause the next."""
    await seed_with_callback(broker, SETTLED, queue=CALLS)
    await run_all(broker, CALLS)
    async with herald_of(broker) as duty:
        assert (await duty.run_once()).submitted == 0
    assert await deliveries(broker) == []


async def test_group_exists_while_a_job_has_a_callback_and_no_longer(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group is made with the first callback and removed after the last, or it would pin the stream."""
    monkeypatch.setattr(event_queues, "NOTED_FOR_S", -1.0)
    monkeypatch.setattr(event_queues, "LOOK_EVERY_S", 0.0)
    await seed(broker, MAIL)
    assert await groups(broker) == []
    await seed_with_callback(broker, SETTLED)
    assert await groups(broker) == [WEBHOOKS_GROUP]
    async with herald_of(broker) as duty:
        await duty.run_once()
        assert await groups(broker) == [WEBHOOKS_GROUP]
        await run_all(broker)
        await duty.run_once()
        await duty.run_once()
    assert await groups(broker) == []
    assert await broker.registry.callback_queues() == {}


async def test_group_that_was_left_over_is_removed(broker: Broker) -> None:
    """A dispatcher that starts removes the group of a queue from which no event is wanted."""
    await broker.registry.add_queues([MAIL])
    await seed(broker, MAIL)
    await broker.client.xgroup_create(broker.keys.of(MAIL).events, WEBHOOKS_GROUP)
    async with herald_of(broker) as duty:
        await duty.run_once()
    assert await groups(broker) == []


async def test_callback_of_a_dead_job_stays_for_its_second_life(broker: Broker) -> None:
    """A dead letter that is redriven and succeeds has a delivery of that too."""
    job_id = await seed_with_callback(broker, SETTLED)
    await commit(broker, await take_one(broker, MAIL), Dead("attempts", ERROR))
    async with herald_of(broker) as duty:
        await duty.run_once()
        await broker.store.redrive(MAIL, [job_id])
        await run_all(broker)
        await duty.run_once()
    words = [call_of(job).body["type"] for job in await deliveries(broker)]
    assert words == ["millstream.job.dead", "millstream.job.succeeded"]


async def test_jobs_without_a_callback_cost_no_delivery(broker: Broker) -> None:
    """In a queue with callbacks the other jobs have none."""
    await seed_dead(broker, MAIL)
    await seed_with_callback(broker, SETTLED)
    await seed(broker, MAIL, 5)
    await run_all(broker)
    async with herald_of(broker) as duty:
        assert (await duty.run_once()).submitted == 1


async def test_state_of_a_delivery_is_that_of_its_event(broker: Broker) -> None:
    """A delivery tells the state after its event, also when the job has moved on since."""
    job_id = await seed_with_callback(broker, SETTLED)
    await commit(broker, await take_one(broker, MAIL), Dead("attempts", ERROR))
    await broker.store.redrive(MAIL, [job_id])
    async with herald_of(broker) as duty:
        await duty.run_once()
    (job,) = await deliveries(broker)
    assert call_of(job).body["data"]["state"] == JobState.DEAD


async def test_delivery_is_in_the_trace_of_its_job(broker: Broker) -> None:
    """The job that delivers an event continues the trace of the event's job."""
    import msgspec

    from millstream_contracts import JobSpec, new_job_id
    from millstream_streams import NewJob

    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    spec = JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=1, traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    await broker.registry.add_queues([MAIL])
    await broker.registry.note_callbacks([MAIL])
    job = NewJob(id=new_job_id(MAIL), spec=msgspec.msgpack.encode(spec), callback=msgspec.json.encode(SETTLED))
    await broker.store.enqueue(MAIL, [job])
    await run_all(broker)
    async with herald_of(broker, tracer=JobTracer(TracerProvider())) as duty:
        await duty.run_once()
    (delivery,) = await deliveries(broker)
    assert delivery.trace_id == trace_id


async def test_callbacks_of_many_jobs_are_delivered_by_two_dispatchers_once_each(broker: Broker) -> None:
    """Two dispatchers share the events, and each job has one delivery."""
    ids = {await seed_with_callback(broker, SETTLED) for _ in range(30)}
    while await take(broker, MAIL, limit=0) or await broker.client.xlen(broker.keys.of(MAIL).ready[1]):
        await run_all(broker)
    async with herald_of(broker) as one, herald_of(broker) as other:
        submitted = 0
        while submitted < len(ids):
            submitted += (await one.run_once()).submitted
            submitted += (await other.run_once()).submitted if submitted < len(ids) else 0
    told = [(job.tags or {})["job"] for job in await deliveries(broker)]
    assert sorted(told) == sorted(ids)
