"""One endpoint: how it is, what was delivered to it, and what can be done with it."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import Client, Job
from millstream_console.live.view import Content, View
from millstream_console.pages.webhooks import endpoint_words
from millstream_console.web.visit import Visit

PAGE = 25
CALLBACKS = "callbacks"
"""The id under which the deliveries and the secret of callbacks are found."""


async def read_webhook(client: Client, *, webhook_id: str, cursor: str) -> Content:
    """Return an endpoint and a page of its deliveries, newest first. Raises: JobNotFoundError, ApiError."""
    refreshed = await read_state(client, webhook_id=webhook_id, cursor=cursor)
    return {**refreshed, **await _deliveries(client, webhook_id, cursor)}


async def read_state(client: Client, *, webhook_id: str, cursor: str) -> Content:  # noqa: ARG001 - the page's arguments
    """Return an endpoint by itself: the rows of the log stay as they are while the page is open."""
    return {"webhook": await client.webhook(webhook_id), "words": endpoint_words}


async def read_callbacks(client: Client, *, cursor: str) -> Content:
    """Return a page of the calls that submissions asked for, newest first. Raises: ApiError."""
    return await _deliveries(client, CALLBACKS, cursor)


WEBHOOK = View("webhook.html", read_webhook, "webhooks", refresh=read_state)
CALLBACK_CALLS = View("callbacks.html", read_callbacks, "webhooks")


@get("/webhooks/callbacks")
async def show_callbacks(visit: Visit) -> Response[Any]:
    """Show the deliveries of callbacks."""
    return await visit.show(CALLBACK_CALLS, cursor=visit.text("cursor"))


@get("/webhooks/{webhook_id:str}")
async def show_webhook(visit: Visit, webhook_id: FromPath[str]) -> Response[Any]:
    """Show one endpoint."""
    return await visit.show(WEBHOOK, webhook_id=webhook_id, cursor=visit.text("cursor"))


@post("/webhooks/{webhook_id:str}/enable")
async def enable_webhook(visit: Visit, webhook_id: FromPath[str]) -> Response[bytes]:
    """Let an endpoint get events again."""
    doing = visit.client.enable_webhook(webhook_id)
    return await visit.act(doing, back=_path(webhook_id), done="Enabled. It gets what happens from now on.")


@post("/webhooks/{webhook_id:str}/disable")
async def disable_webhook(visit: Visit, webhook_id: FromPath[str]) -> Response[bytes]:
    """Let an endpoint get no more events."""
    doing = visit.client.disable_webhook(webhook_id)
    told = "Disabled. What happens from now on does not go there, also not later."
    return await visit.act(doing, back=_path(webhook_id), done=told)


@post("/webhooks/{webhook_id:str}/test")
async def test_webhook(visit: Visit, webhook_id: FromPath[str]) -> Response[bytes]:
    """Send a test to an endpoint."""
    doing = visit.client.test_webhook(webhook_id)
    return await visit.act(doing, back=_path(webhook_id), done=lambda job: f"A test is on its way: {job.id}.")


@post("/webhooks/{webhook_id:str}/remove")
async def remove_webhook(visit: Visit, webhook_id: FromPath[str]) -> Response[bytes]:
    """Remove an endpoint."""
    doing = visit.client.remove_webhook(webhook_id)
    return await visit.act(doing, back="/webhooks", done=lambda gone: f"{gone.url} is removed.")


@post("/webhooks/{webhook_id:str}/deliveries/{job_id:str}/redeliver")
async def redeliver(visit: Visit, webhook_id: FromPath[str], job_id: FromPath[str]) -> Response[bytes]:
    """Deliver the event of a delivery once more."""
    doing = visit.client.redeliver(webhook_id, job_id)
    return await visit.act(doing, back=_path(webhook_id), done=lambda job: f"Delivered once more as {job.id}.")


async def _deliveries(client: Client, webhook_id: str, cursor: str) -> Content:
    page = await client.webhook_deliveries(webhook_id, cursor=cursor or None, limit=PAGE)
    return {
        "deliveries": page.items,
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "event_of": lambda job: _tag(job, "event"),
        "subject_of": lambda job: _tag(job, "job"),
    }


def _tag(job: Job, name: str) -> str:
    return (job.tags or {}).get(name, "")


def _path(webhook_id: str) -> str:
    return f"/webhooks/{webhook_id}"


HANDLERS = (
    show_callbacks,
    show_webhook,
    enable_webhook,
    disable_webhook,
    test_webhook,
    remove_webhook,
    redeliver,
)
