"""Heralds for tests: on a real Redis, with endpoints that the test names."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from intakes import intake_of
from streams.seeds import commit, new_job, take

from millstream_contracts import DEFAULT_TENANT, ENDS, Callback, Job, JobId, JobType, Queue, Succeeded, Webhook
from millstream_dispatcher.webhooks.delivery_maker import DeliveryMaker
from millstream_dispatcher.webhooks.delivery_watch import DeliveryWatch, Note
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_dispatcher.webhooks.herald import Herald
from millstream_streams import WEBHOOKS_GROUP, Broker, consumer_name
from millstream_submission import KnownQueues, SystemSubmitter, TypeCatalogue
from millstream_telemetry import JobTracer, MetricRegistry, WebhookMetrics
from millstream_webhooks import CALL_TYPE, Endpoint, Salt, WebhookCall, WebhookKeys

KEYS = WebhookKeys(["k" * 32])
MAIL = Queue(DEFAULT_TENANT, JobType("email.send"))
CALLS = Queue(DEFAULT_TENANT, JobType(CALL_TYPE))
URL = "https://receiver.example/hook"


class Book(EndpointBook):
    """The endpoints of a test, and what the watch has noted of them."""

    def __init__(self, endpoints: Sequence[Endpoint] = ()) -> None:
        self.stored = list(endpoints)
        self.noted: list[Endpoint] = []
        super().__init__(self._read)

    async def _read(self) -> list[Endpoint]:
        return list(self.stored)

    async def note(self, endpoint: Endpoint) -> None:
        """Keep the state of an endpoint."""
        self.noted.append(endpoint)
        self.stored = [endpoint if one.webhook.id == endpoint.webhook.id else one for one in self.stored]


@asynccontextmanager
async def herald_of(
    broker: Broker,
    book: Book | None = None,
    tracer: JobTracer | None = None,
    keys: WebhookKeys = KEYS,
    note: Note | None = None,
) -> AsyncIterator[Herald]:
    """Yield a herald."""
    metrics, book = MetricRegistry(), book or Book()
    catalogue, queues = TypeCatalogue(broker.registry, metrics), KnownQueues(broker.registry)
    submitter = SystemSubmitter(
        broker.store, queues, intake_of(broker, catalogue), tracer or JobTracer(None), clock=broker.clock.now_s
    )
    watch = DeliveryWatch(broker, book, note or book.note)
    async with aclosing(broker.feed(group=WEBHOOKS_GROUP, consumer=consumer_name())) as feed:
        yield Herald(feed, broker, book, DeliveryMaker(submitter, catalogue, keys), watch, WebhookMetrics(metrics))


def endpoint(**fields: Any) -> Endpoint:
    """Return an endpoint that wants the ends of all jobs."""
    webhook = {
        "id": "whep_1",
        "url": URL,
        "types": ["*"],
        "events": list(ENDS),
        "payloads": False,
        "description": "",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Endpoint(DEFAULT_TENANT, Webhook(**(webhook | fields)), [Salt("s")])


async def seed_with_callback(broker: Broker, callback: Callback, queue: Queue = MAIL, **options: Any) -> JobId:
    """Store a job with a callback, as ingest does."""
    await broker.registry.add_queues([queue])
    await broker.registry.note_callbacks([queue])
    job = new_job(queue, callback=msgspec.json.encode(callback), **options)
    await broker.store.enqueue(queue, [job])
    return job.id


async def run_all(broker: Broker, queue: Queue = MAIL) -> None:
    """Run all ready jobs to success."""
    for delivery in await take(broker, queue):
        await commit(broker, delivery, Succeeded(msgspec.Raw(msgspec.msgpack.encode({"ok": True}))))


async def deliveries(broker: Broker) -> list[Job]:
    """Return the delivery jobs, oldest first."""
    entries = await broker.client.xrange(broker.keys.of(CALLS).ready[1])
    ids = [JobId(fields[b"id"].decode()) for _, fields in entries]
    jobs = [await broker.views.job(CALLS, job_id) for job_id in ids]
    return [job for job in jobs if job]


def call_of(job: Job) -> WebhookCall:
    """Return the payload of a delivery."""
    return msgspec.convert(job.payload, WebhookCall)


async def passes(duty: Herald) -> int:
    """Run two passes, of which the first makes the group. Returns: how many deliveries were submitted."""
    return (await duty.run_once()).submitted + (await duty.run_once()).submitted
