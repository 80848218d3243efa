"""The pages, one module each: what it reads, and what its buttons do."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from millstream_console.pages import decisions, errors, health, job, jobs, operations, places, workers
from millstream_console.pages.overview import page as overview
from millstream_console.pages.queues import one_queue, queue_list
from millstream_console.pages.schedules import backfilling, one_schedule, schedule_list
from millstream_console.pages.system import page as system
from millstream_console.pages.webhooks import forms, one_webhook, secrets, webhook_list

HANDLERS: Sequence[ControllerRouterHandler] = (
    *health.HANDLERS,
    *places.HANDLERS,
    *overview.HANDLERS,
    *queue_list.HANDLERS,
    *one_queue.HANDLERS,
    *workers.HANDLERS,
    *jobs.HANDLERS,
    *job.HANDLERS,
    *decisions.HANDLERS,
    *errors.HANDLERS,
    *operations.HANDLERS,
    *schedule_list.HANDLERS,
    *one_schedule.HANDLERS,
    *backfilling.HANDLERS,
    *system.HANDLERS,
    *webhook_list.HANDLERS,
    *one_webhook.HANDLERS,
    *secrets.HANDLERS,
    *forms.HANDLERS,
)
"""The functions that answer, of all pages."""
