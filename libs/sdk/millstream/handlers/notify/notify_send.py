"""`notify.send`: a message to the URLs that the worker has, at least once."""

from typing import Annotated

from msgspec import Meta, Struct

from millstream.context import SyncContext
from millstream.handlers.notify.apprise_sender import Format, Kind, send
from millstream.handlers.shared import Shared, shared


class Notification(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message."""

    body: Annotated[str, Meta(min_length=1, max_length=20_000)]
    title: Annotated[str, Meta(max_length=500)] = ""
    kind: Kind = "info"
    """How the service shows it, where it can."""
    format: Format = "text"


class NotificationReceipt(Struct, frozen=True):
    """What became of a message."""

    services: int
    """How many services have accepted it."""


def send_notification(notification: Notification, ctx: SyncContext[Shared]) -> NotificationReceipt:
    """Send a message by chat, push or whatever the URLs of the worker name.

    Raises: HandlerError, NotDeliveredError; then some services may have accepted it.
    """
    urls = shared(ctx).notify.urls
    send(urls, title=notification.title, body=notification.body, kind=notification.kind, format=notification.format)
    return NotificationReceipt(len(urls))
