"""Endpoints: which events go to them, and when they are disabled."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from dispatcher.webhooks.heralding import (
    CALLS,
    KEYS,
    MAIL,
    URL,
    Book,
    call_of,
    deliveries,
    endpoint,
    herald_of,
    passes,
    run_all,
    seed_with_callback,
)
from msgspec import Raw
from msgspec.structs import replace
from streams.seeds import commit, new_job, seed, take_one

from millstream_contracts import (
    DEFAULT_TENANT,
    MASK,
    Callback,
    Cancelled,
    Dead,
    Event,
    EventKind,
    JobError,
    JobEvent,
    JobType,
    Queue,
    RetryAt,
    Succeeded,
    Tenant,
    TypePolicy,
    TypeRegistration,
)
from millstream_dispatcher.webhooks import event_queues
from millstream_dispatcher.webhooks.delivery_watch import FAILING_FOR, judged
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_history import HistoryUnavailableError
from millstream_streams import WEBHOOKS_GROUP, Broker
from millstream_webhooks import GONE_REASON, Endpoint, signing_secrets

ERROR = JobError("ValueError", "no")


async def seed_and_run(broker: Broker, queue: Queue = MAIL) -> None:
    """Store a job, and run it to success."""
    await broker.registry.add_queues([queue])
    await seed(broker, queue)
    await run_all(broker, queue)


async def test_endpoint_gets_the_events_of_the_types_that_it_names(broker: Broker) -> None:
    """An endpoint gets the events of job types that fit its patterns, signed for it and without payload."""
    await seed_and_run(broker)
    await seed_and_run(broker, Queue(DEFAULT_TENANT, JobType("report")))
    async with herald_of(broker, Book([endpoint(types=["email.*"])])) as duty:
        assert await passes(duty) == 1
    (job,) = await deliveries(broker)
    call = call_of(job)
    assert (call.url, call.endpoint, call.body["data"]["type"]) == (URL, "whep_1", "email.send")
    assert "payload" not in call.body["data"]
    assert signing_secrets(call, KEYS, 0) == KEYS.secrets("whep_1", ["s"])


async def test_body_of_a_call_has_no_secret(broker: Broker) -> None:
    """An endpoint that gets payloads and results gets masks in the place of what is secret, as does who reads calls."""
    schema = {"properties": {"pin": {"x-secret": True}}}
    registration = TypeRegistration(MAIL.type, TypePolicy(), payload_schema=schema, result_schema=schema)
    await broker.registry.add_types(DEFAULT_TENANT, [registration])
    await broker.registry.add_queues([MAIL])
    await seed(broker, MAIL, payload={"pin": "canary", "to": "ann"})
    delivery = await take_one(broker, MAIL)
    await commit(broker, delivery, Succeeded(Raw(msgspec.msgpack.encode({"pin": "canary"}))))
    async with herald_of(broker, Book([endpoint(payloads=True)])) as duty:
        assert await passes(duty) == 1
    (job,) = await deliveries(broker)
    data = call_of(job).body["data"]
    assert (data["payload"], data["result"]) == ({"pin": MASK, "to": "ann"}, {"pin": MASK})


async def test_endpoint_and_callback_each_have_their_own_event(broker: Broker) -> None:
    """One transition that an endpoint and a callback want makes two deliveries, with ids of their own."""
    await seed_with_callback(broker, Callback("https://other.example/"))
    await run_all(broker)
    async with herald_of(broker, Book([endpoint()])) as duty:
        assert await passes(duty) == 2
    calls = [call_of(job) for job in await deliveries(broker)]
    assert {call.url for call in calls} == {URL, "https://other.example/"}
    assert len({call.event_id for call in calls}) == 2


async def test_endpoint_gets_no_event_from_before_it_was_made(broker: Broker) -> None:
    """Only what happens after an endpoint was made goes there, though older events are still in the stream."""
    await seed_and_run(broker)
    made = endpoint(created_at=datetime.now(UTC) + timedelta(hours=1))
    async with herald_of(broker, Book([made])) as duty:
        assert await passes(duty) == 0


async def test_endpoint_gets_no_event_from_before_it_was_enabled_again(broker: Broker) -> None:
    """What happened while an endpoint was disabled does not go there afterwards."""
    await seed_and_run(broker)
    again = endpoint(enabled_at=datetime.now(UTC) + timedelta(hours=1))
    async with herald_of(broker, Book([again])) as duty:
        assert await passes(duty) == 0


async def test_disabled_endpoint_gets_nothing(broker: Broker) -> None:
    """An endpoint that is disabled gets no event, and its queues are left."""
    await seed_and_run(broker)
    off = endpoint(disabled_at=datetime.now(UTC))
    async with herald_of(broker, Book([off])) as duty:
        assert await passes(duty) == 0
    assert await broker.client.xinfo_groups(broker.keys.of(MAIL).events) == []


async def test_endpoint_of_another_tenant_gets_nothing(broker: Broker) -> None:
    """Events go to endpoints of the tenant of their job alone."""
    await seed_and_run(broker)
    foreign = Endpoint(Tenant("other"), endpoint().webhook, [])
    async with herald_of(broker, Book([foreign])) as duty:
        assert await passes(duty) == 0


async def test_deliveries_raise_no_events_for_endpoints(broker: Broker) -> None:
    """The end of a delivery goes to no endpoint, whatever types it names."""
    await seed_and_run(broker, CALLS)
    book = Book([endpoint(types=["*", "webhook.call"], events=list(JobEvent))])
    async with herald_of(broker, book) as duty:
        assert await passes(duty) == 0


async def deliver(broker: Broker, outcome: Succeeded | Cancelled | Dead | RetryAt) -> None:
    """Store a delivery to the endpoint, and end an attempt of it like this."""
    import msgspec

    from millstream_contracts import JobSpec

    await broker.registry.add_queues([CALLS])
    spec = JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=1, tags={"endpoint": "whep_1"})
    job = replace(new_job(CALLS), spec=msgspec.msgpack.encode(spec))
    await broker.store.enqueue(CALLS, [job])
    await commit(broker, await take_one(broker, CALLS), outcome)


async def test_endpoint_is_disabled_when_its_receiver_is_gone(broker: Broker) -> None:
    """A delivery that was answered by 410 disables its endpoint."""
    book = Book([endpoint()])
    await deliver(broker, Cancelled(GONE_REASON))
    async with herald_of(broker, book) as duty:
        await passes(duty)
    (noted,) = book.noted
    assert noted.webhook.disabled_at is not None
    assert noted.webhook.disabled_reason == GONE_REASON


async def test_endpoint_stays_when_a_delivery_is_cancelled_for_another_reason(broker: Broker) -> None:
    """A delivery that an operator cancels says nothing about its receiver."""
    book = Book([endpoint()])
    await deliver(broker, Cancelled("by hand"))
    async with herald_of(broker, book) as duty:
        await passes(duty)
    assert book.noted == []


async def test_failures_of_an_endpoint_are_noted_once_and_forgotten_with_a_success(broker: Broker) -> None:
    """The first failure is noted, further ones change nothing, and a success ends them."""
    book = Book([endpoint()])
    async with herald_of(broker, book) as duty:
        await deliver(broker, RetryAt(1_000_000, ERROR))
        await deliver(broker, Dead("attempts", ERROR))
        await passes(duty)
        assert [one.webhook.failing_since is not None for one in book.noted] == [True]
        await deliver(broker, Succeeded())
        await passes(duty)
    assert [one.webhook.failing_since is not None for one in book.noted] == [True, False]


def event(kind: EventKind, at: datetime) -> Event:
    """Return an event of a delivery."""
    return Event("1-0", kind, round(at.timestamp() * 1000), "", [])


def test_endpoint_is_disabled_when_all_has_failed_for_days() -> None:
    """A failure disables an endpoint that has failed for FAILING_FOR, and not before."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    failing = endpoint(failing_since=since)
    assert judged(failing, event(EventKind.DEAD, since + FAILING_FOR - timedelta(seconds=1)), "") is None
    changed = judged(failing, event(EventKind.RETRYING, since + FAILING_FOR), "")
    assert changed is not None
    assert changed.webhook.disabled_at == since + FAILING_FOR
    assert changed.webhook.disabled_reason == "every delivery has failed since 2026-01-01 00:00"
    assert judged(changed, event(EventKind.SUCCEEDED, since + FAILING_FOR), "") is None


async def test_last_copy_of_the_endpoints_counts_while_the_database_is_away() -> None:
    """Without the database the endpoints of the last look count; before the first one no event is read."""
    answers = [HistoryUnavailableError("away"), [endpoint()], HistoryUnavailableError("away")]

    async def load() -> list[Endpoint]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    book = EndpointBook(load)
    with pytest.raises(HistoryUnavailableError):
        await book.look()
    assert await book.look() == [endpoint()]
    assert await book.look() == [endpoint()]
    assert len(answers) == 1  # a copy that is fresh is not read again


async def test_events_are_acknowledged_once_they_are_delivered(broker: Broker) -> None:
    """What was delivered, or is wanted by none, is acknowledged, so that it can be trimmed."""
    await seed_and_run(broker)
    async with herald_of(broker, Book([endpoint()])) as duty:
        await passes(duty)
    pending = await broker.client.xpending(broker.keys.of(MAIL).events, WEBHOOKS_GROUP)
    assert pending["pending"] == 0
    (group,) = await broker.client.xinfo_groups(broker.keys.of(MAIL).events)
    assert group["lag"] in {0, None}


def test_endpoint_wants_no_queue_of_deliveries() -> None:
    """An endpoint whose patterns fit the type of deliveries wants none of their events."""
    assert endpoint().wants_queue(MAIL)
    assert not endpoint(types=["webhook.call"]).wants_queue(CALLS)


async def test_callback_is_delivered_when_its_queue_was_not_noted_at_the_last_look(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A callback in a queue that is read for an endpoint is delivered also before the next look at the notes."""
    monkeypatch.setattr(event_queues, "LOOK_EVERY_S", 3_600.0)
    await seed_and_run(broker)
    async with herald_of(broker, Book([endpoint()])) as duty:
        assert await passes(duty) == 1
        await seed_with_callback(broker, Callback("https://other.example/"))
        await run_all(broker)
        assert (await duty.run_once()).submitted == 2


async def test_events_go_on_while_the_state_of_an_endpoint_cannot_be_noted(broker: Broker) -> None:
    """A database that is away holds up no event: what a delivery says of its endpoint is noted by a later one."""
    book = Book([endpoint()])

    async def away(_: Endpoint) -> None:
        raise HistoryUnavailableError("away")

    async with herald_of(broker, book, note=away) as duty:
        await deliver(broker, Dead("attempts", ERROR))
        await passes(duty)
    assert (await book.look())[0].webhook.failing_since is None
    async with herald_of(broker, book) as duty:
        await deliver(broker, Dead("attempts", ERROR))
        await passes(duty)
    assert (await book.look())[0].webhook.failing_since is not None
