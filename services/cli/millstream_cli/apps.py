"""Loads the apps of a worker, and gives the built-in app its settings."""

from collections.abc import Sequence
from typing import Any

from millstream import App
from millstream.handlers import (
    ExportSettings,
    FileSettings,
    HandlerSettings,
    NotifySettings,
    ReportSettings,
    SmtpSettings,
    WebhookSettings,
    builtin_app,
)
from millstream_runtime import revealed
from millstream_workers.app_loader import load_app, merge_apps
from millstream_workers.settings import BUILTIN, WorkerSettings


def load_apps(refs: Sequence[str], settings: WorkerSettings) -> App[Any]:
    """Return one app with the handlers of all; without names, the built-in app.

    Raises: AppLoadError, HandlerError.
    """
    apps = [_builtin(settings) if ref == BUILTIN else load_app(ref) for ref in refs or (BUILTIN,)]
    return merge_apps(apps)


def _builtin(settings: WorkerSettings) -> App[Any]:
    app = builtin_app(handler_settings(settings))
    # Without what it needs a handler can only fail; another worker may have it.
    needs = {
        "email.send": settings.smtp_host,
        "notify.send": settings.notify_urls,
        "sms.send": settings.sms_url,
        "file.process": settings.files_root,
    }
    for job_type, needed in needs.items():
        if needed is None:
            del app.handlers[job_type]
    return app


def handler_settings(settings: WorkerSettings) -> HandlerSettings:
    """Return the settings of the built-in handlers. Raises: HandlerError, for a URL that no message may go to."""
    font = settings.reports_font
    return HandlerSettings(
        smtp=_smtp(settings),
        reports=ReportSettings(
            folder=str(settings.reports_folder),
            font=None if font is None else str(font),
            api_url=settings.url,
            api_key=revealed(settings.api_key),
        ),
        webhooks=WebhookSettings(
            key=revealed(settings.webhook_key),
            key_before=revealed(settings.webhook_key_before),
            networks=settings.outgoing_networks,
        ),
        notify=NotifySettings(
            urls=tuple((revealed(settings.notify_urls) or "").split()), sms_url=revealed(settings.sms_url)
        ),
        files=FileSettings(root=str(settings.files_root or "files"), protocols=settings.files_protocols),
        exports=ExportSettings(
            folder=str(settings.exports_folder), api_url=settings.url, api_key=revealed(settings.api_key)
        ),
    )


def _smtp(settings: WorkerSettings) -> SmtpSettings:
    if settings.smtp_host is None:
        return SmtpSettings()
    return SmtpSettings(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=revealed(settings.smtp_password),
    )
