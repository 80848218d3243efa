"""The resources that the built-in handlers share within a worker process: the `ctx.state` of their app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from millstream.context import BaseContext
from millstream.errors import HandlerError
from millstream.handlers.files.file_places import FilePlaces
from millstream.handlers.mailer import Mailer
from millstream.handlers.settings import (
    ExportSettings,
    FileSettings,
    HandlerSettings,
    NotifySettings,
    ReportSettings,
)
from millstream.handlers.webhook.caller import WebhookCaller


@dataclass(frozen=True)
class Shared:
    """Resources that are open while the worker runs."""

    mailer: Mailer
    reports: ReportSettings
    webhooks: WebhookCaller = field(default_factory=WebhookCaller)
    notify: NotifySettings = field(default_factory=NotifySettings)
    files: FilePlaces = field(default_factory=lambda: FilePlaces(FileSettings().root))
    exports: ExportSettings = field(default_factory=ExportSettings)


@asynccontextmanager
async def opened(settings: HandlerSettings) -> AsyncIterator[Shared]:
    """Open the shared resources. Connections are made when the first mail needs them."""
    mailer = Mailer(settings.smtp)
    webhooks = WebhookCaller(settings.webhooks)
    try:
        yield Shared(
            mailer=mailer,
            reports=settings.reports,
            webhooks=webhooks,
            notify=settings.notify,
            files=FilePlaces(settings.files.root, settings.files.protocols),
            exports=settings.exports,
        )
    finally:
        await mailer.aclose()
        await webhooks.aclose()


def shared(ctx: BaseContext[Any]) -> Shared:
    """Return the shared resources. Raises: HandlerError, when the app was made without the lifespan that opens them."""
    if not isinstance(ctx.state, Shared):
        raise HandlerError(f"`{ctx.type}` needs the state of `millstream.handlers.builtin_app(settings)`")
    return ctx.state
