"""Loads the apps of a worker, and gives the built-in app its settings."""

from collections.abc import Sequence
from typing import Any

from millstream import App
from millstream.handlers import HandlerSettings, ReportSettings, SmtpSettings, WebhookSettings, builtin_app
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
    if settings.smtp_host is None:
        # Without a mail server the handler can only fail; another worker may have one.
        del app.handlers["email.send"]
    return app


def handler_settings(settings: WorkerSettings) -> HandlerSettings:
    """Return the settings of the built-in handlers."""
    reports = ReportSettings(folder=str(settings.reports_folder))
    webhooks = WebhookSettings(
        key=settings.webhook_key.reveal() if settings.webhook_key else None,
        key_before=settings.webhook_key_before.reveal() if settings.webhook_key_before else None,
        networks=settings.outgoing_networks,
    )
    if settings.smtp_host is None:
        return HandlerSettings(reports=reports, webhooks=webhooks)
    smtp = SmtpSettings(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password.reveal() if settings.smtp_password else None,
    )
    return HandlerSettings(smtp=smtp, reports=reports, webhooks=webhooks)
