"""The forms that add and change an endpoint: what is wrong is said at its field, and what was typed stays."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Struct

from millstream import ApiError, UnavailableError, Webhook
from millstream.errors import describe
from millstream_console.pages.webhooks.secrets import secret_page
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Form, PageRequest, Visit
from millstream_contracts import ENDS, JobEvent, Scope

EVENTS: tuple[tuple[JobEvent, str], ...] = (
    (JobEvent.SUCCEEDED, "a job succeeded"),
    (JobEvent.DEAD, "its attempts are used up"),
    (JobEvent.CANCELLED, "it was cancelled or discarded"),
    (JobEvent.EXPIRED, "it was not started in time"),
    (JobEvent.SUBMITTED, "a job was accepted"),
    (JobEvent.STARTED, "an attempt began"),
    (JobEvent.RETRYING, "an attempt failed, and another follows"),
    (JobEvent.REDRIVEN, "a dead job runs again"),
)
"""Every event, with what it means: the ends first, which most endpoints want."""


class Typed(Struct, frozen=True, kw_only=True):
    """What stands in the fields of the form."""

    url: str = ""
    types: str = "*"
    """With spaces or commas between them."""
    events: tuple[str, ...] = tuple(map(str, ENDS))
    payloads: bool = False
    description: str = ""

    def fields(self) -> dict[str, Any]:
        """Return the arguments of the calls that make and change an endpoint."""
        return {
            "url": self.url,
            "types": self.types.replace(",", " ").split(),
            "events": self.events,
            "payloads": self.payloads,
            "description": self.description,
        }


@get("/webhooks/new")
async def show_new(visit: Visit) -> Response[Any]:
    """Show the form for a new endpoint."""
    visit.require(Scope.WEBHOOKS_MANAGE)
    return await _form(visit, Typed(), webhook_id="")


@post("/webhooks/new")
async def add_webhook(visit: Visit) -> Response[bytes]:
    """Make an endpoint, and show its secret."""
    visit.require(Scope.WEBHOOKS_MANAGE)
    typed = _typed(await visit.form())
    try:
        made = await visit.client.add_webhook(**typed.fields())
    except (ApiError, ValueError) as error:
        return await _refused(visit, typed, error, webhook_id="")
    return await secret_page(visit, made, "new")


@get("/webhooks/{webhook_id:str}/edit")
async def show_edit(visit: Visit, webhook_id: FromPath[str]) -> Response[Any]:
    """Show the form for an endpoint that there is."""
    visit.require(Scope.WEBHOOKS_MANAGE)
    return await _form(visit, _of(await visit.client.webhook(webhook_id)), webhook_id=webhook_id)


@post("/webhooks/{webhook_id:str}/edit")
async def change_webhook(visit: Visit, webhook_id: FromPath[str]) -> Response[bytes]:
    """Change an endpoint."""
    visit.require(Scope.WEBHOOKS_MANAGE)
    typed = _typed(await visit.form())
    try:
        await visit.client.change_webhook(webhook_id, **typed.fields())
    except (ApiError, ValueError) as error:
        return await _refused(visit, typed, error, webhook_id=webhook_id)
    return visit.go(f"/webhooks/{webhook_id}", Toast("Changed."))


def _typed(form: Form) -> Typed:
    return Typed(
        url=form.text("url"),
        types=form.text("types"),
        events=tuple(form.texts("events")),
        payloads=bool(form.text("payloads")),
        description=form.text("description"),
    )


def _of(webhook: Webhook) -> Typed:
    return Typed(
        url=webhook.url,
        types=" ".join(webhook.types),
        events=tuple(map(str, webhook.events)),
        payloads=webhook.payloads,
        description=webhook.description,
    )


async def _refused(
    visit: PageRequest, typed: Typed, error: ApiError | ValueError, *, webhook_id: str
) -> Response[bytes]:
    """Show the form again. Raises: UnavailableError, since it is not known then whether the endpoint was made."""
    if isinstance(error, UnavailableError):
        raise error
    if isinstance(error, ValueError):
        return await _form(visit, typed, {"events": str(error)}, webhook_id=webhook_id, status=422)
    faults = {one.pointer.strip("#/").partition("/")[0]: one.detail for one in error.problem.errors}
    if not faults.keys() & {"url", "types", "events", "description"}:
        faults[""] = describe(error.problem)
    return await _form(visit, typed, faults, webhook_id=webhook_id, status=error.problem.status)


async def _form(
    visit: PageRequest, typed: Typed, faults: Mapping[str, str] | None = None, *, webhook_id: str, status: int = 200
) -> Response[bytes]:
    content = {"typed": typed, "faults": faults or {}, "webhook_id": webhook_id, "all_events": EVENTS}
    return await visit.framed("webhook_form.html", content, "webhooks", status=status)


HANDLERS = (show_new, add_webhook, show_edit, change_webhook)
