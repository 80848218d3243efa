"""Watches what becomes of deliveries: an endpoint whose receiver is gone, or fails for days, is disabled."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from millstream_contracts import Event, EventKind, JobId, QueueEvents, moment
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_history import HistoryError
from millstream_streams import Broker
from millstream_webhooks import GONE_REASON, Endpoint

FAILING_FOR = timedelta(days=5)
"""How long every delivery of an endpoint may fail before it is disabled."""

_FAILURES = frozenset({EventKind.RETRYING, EventKind.DEAD})

Note = Callable[[Endpoint], Awaitable[None]]
"""Stores the state of an endpoint: `disabled_at`, `disabled_reason`, `failing_since`. Raises: HistoryError."""


class DeliveryWatch:
    """Keeps the state of endpoints up to date with their deliveries."""

    def __init__(self, broker: Broker, book: EndpointBook, note: Note | None) -> None:
        """Take what stores the state of an endpoint; None without a database, where there are no endpoints."""
        self._broker = broker
        self._book = book
        self._note = note
        self._log = structlog.get_logger().bind(duty="herald")

    async def see(self, batch: QueueEvents) -> None:
        """Take notice of events of deliveries. Raises: StoreUnavailableError."""
        endpoints = {one.webhook.id: one for one in await self._book.look() if one.tenant == batch.queue.tenant}
        if not endpoints or self._note is None:
            return
        outcomes = [(event, job.id) for event in batch.events if _tells(event) for job in event.jobs]
        ids = list(dict.fromkeys(job_id for _, job_id in outcomes))
        endpoint_of: dict[JobId, str] = {}
        for start in range(0, len(ids), 100):
            for job in await self._broker.views.jobs(batch.queue, ids[start : start + 100]):
                endpoint_of[job.id] = (job.tags or {}).get("endpoint", "")
        for event, job_id in outcomes:
            endpoint = endpoints.get(endpoint_of.get(job_id, ""))
            if endpoint is not None and (changed := judged(endpoint, event, _reason(event, job_id))) is not None:
                await self._change(changed)
                endpoints[changed.webhook.id] = changed

    async def _change(self, endpoint: Endpoint) -> None:
        assert self._note is not None
        try:
            await self._note(endpoint)
        except HistoryError as error:
            # The next delivery tells it again; until then no event is held up.
            self._log.warning("endpoint not noted", endpoint=endpoint.webhook.id, error=str(error))
            return
        self._book.replace(endpoint)
        if endpoint.webhook.disabled_at is not None:
            self._log.warning("webhook disabled", endpoint=endpoint.webhook.id, reason=endpoint.webhook.disabled_reason)


def judged(endpoint: Endpoint, event: Event, reason: str) -> Endpoint | None:
    """Return an endpoint as the outcome of a delivery leaves it; None where nothing changes."""
    webhook, at = endpoint.webhook, moment(event.at_ms)
    if webhook.disabled_at is not None:
        return None
    if event.kind == EventKind.SUCCEEDED:
        return None if webhook.failing_since is None else _with(endpoint, failing_since=None)
    if event.kind == EventKind.CANCELLED:
        return _with(endpoint, disabled_at=at, disabled_reason=reason) if reason == GONE_REASON else None
    since = webhook.failing_since or at
    if at - since >= FAILING_FOR:
        return _with(
            endpoint, disabled_at=at, disabled_reason=f"every delivery has failed since {since:%Y-%m-%d %H:%M}"
        )
    return None if webhook.failing_since is not None else _with(endpoint, failing_since=since)


def _with(endpoint: Endpoint, **fields: datetime | str | None) -> Endpoint:
    return replace(endpoint, webhook=replace(endpoint.webhook, **fields))


def _tells(event: Event) -> bool:
    return event.kind in _FAILURES or event.kind in {EventKind.SUCCEEDED, EventKind.CANCELLED}


def _reason(event: Event, job_id: JobId) -> str:
    return next((job.detail for job in event.jobs if job.id == job_id), "")
