"""The pages, one module each: what it reads, and what its buttons do."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from millstream_console.pages import access, decisions, errors, health, job, jobs, operations, places, tenants, workers
from millstream_console.pages.audit import record_list
from millstream_console.pages.batches import batch_list, one_batch
from millstream_console.pages.overview import page as overview
from millstream_console.pages.queues import one_queue, queue_list
from millstream_console.pages.schedules import backfilling, one_schedule, schedule_form, schedule_list
from millstream_console.pages.system import page as system
from millstream_console.pages.templates import template_form, template_pages
from millstream_console.pages.webhooks import forms, one_webhook, secrets, webhook_list
from millstream_console.pages.workflows import one_workflow, workflow_list

HANDLERS: Sequence[ControllerRouterHandler] = (
    *health.HANDLERS,
    *access.HANDLERS,
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
    *schedule_form.HANDLERS,
    *workflow_list.HANDLERS,
    *one_workflow.HANDLERS,
    *batch_list.HANDLERS,
    *one_batch.HANDLERS,
    *template_pages.HANDLERS,
    *template_form.HANDLERS,
    *tenants.HANDLERS,
    *system.HANDLERS,
    *record_list.HANDLERS,
    *webhook_list.HANDLERS,
    *one_webhook.HANDLERS,
    *secrets.HANDLERS,
    *forms.HANDLERS,
)
"""The functions that answer, of all pages."""
