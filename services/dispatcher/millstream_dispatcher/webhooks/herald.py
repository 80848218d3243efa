"""Submits a job for each event that an endpoint or a callback wants. Run by every dispatcher.

An event is acknowledged once its deliveries are stored, and each has the id of the event as its key: so there is one
job for an event and a recipient, however often and by how many dispatchers the event is read.
"""

import time
from collections.abc import Iterator, Sequence

import structlog

from millstream_contracts import LAST_EVENTS, Callback, Event, Job, JobId, JobSpec, JobTransition, Queue, QueueEvents
from millstream_dispatcher.event_reader import EventReader
from millstream_dispatcher.webhooks.delivery_maker import DeliveryMaker
from millstream_dispatcher.webhooks.delivery_watch import DeliveryWatch
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_dispatcher.webhooks.event_queues import EventQueues
from millstream_dispatcher.webhooks.recipient import Recipient, recipients_of
from millstream_runtime import DutyResult
from millstream_streams import Broker, EventFeed
from millstream_submission import BuiltJob, SubmissionError
from millstream_telemetry import WebhookMetrics
from millstream_webhooks import CALL_TYPE, CALLBACKS, Endpoint

ENTRIES_AT_ONCE = 50
"""The number of entries in one read of each queue; an entry has up to a hundred jobs."""
JOBS_AT_ONCE = 100
PASS_S = 5.0
"""How long a pass delivers what was read, so that many events are no reason to take this dispatcher for dead."""

Wanted = tuple[Event, JobTransition, Recipient]


class Heralding(DutyResult, frozen=True):
    """The result of one pass."""

    submitted: int = 0


class Herald:
    """A duty."""

    name = "herald"
    interval_s = 1.0

    def __init__(
        self,
        feed: EventFeed,
        broker: Broker,
        book: EndpointBook,
        maker: DeliveryMaker,
        watch: DeliveryWatch,
        metrics: WebhookMetrics,
    ) -> None:
        self._feed = feed
        self._events = EventReader(feed)
        self._broker = broker
        self._book = book
        self._maker = maker
        self._watch = watch
        self._metrics = metrics
        self._queues = EventQueues(broker, book)
        self._held: list[QueueEvents] = []
        """Events that were read and not acknowledged yet."""
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Heralding:
        """Submit the deliveries of what was read; wait for events when there are none."""
        queues = await self._queues.look()
        self._metrics.show_endpoints(one.webhook.disabled_at is None for one in await self._book.look())
        if not self._held:
            self._held += await self._events.read(queues, entries=ENTRIES_AT_ONCE)
        submitted, until = 0, time.monotonic() + PASS_S
        while self._held and time.monotonic() < until:
            submitted += await self._deliver(self._held[0])
            del self._held[0]
        return Heralding(more=True, submitted=submitted)

    async def _deliver(self, batch: QueueEvents) -> int:
        """Deliver the events of one queue, and acknowledge them. Returns: how many deliveries were stored."""
        queue, submitted = batch.queue, 0
        if queue.type == CALL_TYPE:
            await self._watch.see(batch)
        else:
            endpoints, callbacks = self._book.wanting(queue), await self._callbacks(batch)
            wanted = list(_wanted(batch, endpoints, callbacks))
            for start in range(0, len(wanted), JOBS_AT_ONCE):
                submitted += await self._submit(queue, wanted[start : start + JOBS_AT_ONCE])
            await self._broker.callbacks.end(queue, [one for one in _ended(batch) if one in callbacks])
        await self._feed.acknowledge([batch])
        return submitted

    async def _callbacks(self, batch: QueueEvents) -> dict[JobId, Callback]:
        """Return the callbacks of the jobs, also of a queue that was not noted at the last look."""
        ids = list({job.id: None for event in batch.events for job in event.jobs})
        return await self._broker.callbacks.of(batch.queue, ids)

    async def _submit(self, queue: Queue, wanted: Sequence[Wanted]) -> int:
        known = await self._broker.views.with_specs(queue, list({job.id: None for _, job, _ in wanted}))
        built = [job for one in wanted if (job := await self._build(queue, one, known))]
        await self._maker.store(built)
        for _, _, recipient in wanted:
            self._metrics.count_event("callback" if recipient.endpoint == CALLBACKS else "endpoint")
        return len(built)

    async def _build(self, queue: Queue, wanted: Wanted, known: dict[JobId, tuple[Job, JobSpec]]) -> BuiltJob | None:
        event, transition, recipient = wanted
        try:
            return await self._maker.build(queue, event, transition, recipient, known.get(transition.id))
        except (SubmissionError, TypeError) as error:
            # It would be refused for ever, and hold up all events behind it.
            self._log.error(
                "event not delivered", job_id=transition.id, type=queue.type, error=str(error), error_type="refused"
            )
            return None


def _wanted(batch: QueueEvents, endpoints: Sequence[Endpoint], callbacks: dict[JobId, Callback]) -> Iterator[Wanted]:
    for event in batch.events:
        for job in event.jobs:
            for recipient in recipients_of(event, endpoints, callbacks.get(job.id), batch.queue.tenant):
                yield event, job, recipient


def _ended(batch: QueueEvents) -> list[JobId]:
    return [job.id for event in batch.events if event.kind in LAST_EVENTS for job in event.jobs]
