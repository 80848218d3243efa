"""Shows the secrets of endpoints and of callbacks, on demand and when they are new.

A secret is the answer of a POST: no address leads to it, no cookie has it, and no open page is sent it.
"""

from collections.abc import Awaitable

from litestar import Response, post
from litestar.params import FromPath

from millstream import AccessError, ApiError, SecretWebhook, UnavailableError, WebhookSecret
from millstream.errors import describe
from millstream_console.pages.webhooks.one_webhook import CALLBACKS
from millstream_console.web.toast import Toast
from millstream_console.web.visit import PageRequest, Visit


@post("/webhooks/{webhook_id:str}/secret")
async def show_secret(visit: Visit, webhook_id: FromPath[str]) -> Response[bytes]:
    """Show the secret of an endpoint, or that of callbacks."""
    return await _show(visit, visit.client.webhook_secret(webhook_id), why="shown")


@post("/webhooks/{webhook_id:str}/rotate")
async def rotate_secret(visit: Visit, webhook_id: FromPath[str]) -> Response[bytes]:
    """Replace the secret of an endpoint."""
    return await _show(visit, visit.client.rotate_webhook(webhook_id), why="rotated", back=f"/webhooks/{webhook_id}")


async def secret_page(visit: PageRequest, secret: WebhookSecret | SecretWebhook, why: str) -> Response[bytes]:
    """Answer with a secret; `why` is `new`, `rotated` or `shown`."""
    content = {
        "secret": secret.secret,
        "back": f"/webhooks/{secret.id}",
        "about": "Callbacks" if secret.id == CALLBACKS else getattr(secret, "url", "") or secret.id,
        "why": why,
    }
    return await visit.framed("webhook_secret.html", content, "webhooks")


async def _show(
    visit: PageRequest, doing: Awaitable[WebhookSecret] | Awaitable[SecretWebhook], why: str, back: str = "/webhooks"
) -> Response[bytes]:
    try:
        found = await doing
    except (AccessError, UnavailableError):
        raise
    except ApiError as error:
        return visit.go(back, Toast(describe(error.problem), "b"))
    return await secret_page(visit, found, why)


HANDLERS = (show_secret, rotate_secret)
