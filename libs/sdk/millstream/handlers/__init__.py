"""Handlers that come with Millstream: mail, messages, calls, reports, files, exports. Needs `millstream[handlers]`.

`app` has the default settings; `builtin_app` makes an app with others.
"""

from contextlib import AbstractAsyncContextManager

from millstream.app import App
from millstream.handlers.email_send import EmailReceipt, send_email
from millstream.handlers.export.data_export import Export, ExportedFile, export_data
from millstream.handlers.files.file_process import FileTask, ProcessedFile, process_file
from millstream.handlers.mail_writer import Attachment, Email
from millstream.handlers.notify.notify_send import Notification, NotificationReceipt, send_notification
from millstream.handlers.notify.sms_send import Sms, SmsReceipt, send_sms
from millstream.handlers.report_generate import FoundJobs, Report, ReportFile, generate_report
from millstream.handlers.settings import (
    ExportSettings,
    FileSettings,
    HandlerSettings,
    NotifySettings,
    ReportSettings,
    SmtpSettings,
    TlsMode,
    WebhookSettings,
)
from millstream.handlers.shared import Shared, opened
from millstream.handlers.webhook.webhook_call import WebhookReceipt, call_webhook
from millstream.steering import Retry
from millstream_webhooks import CALL_TYPE, RETRY_DELAYS_S, WebhookCall

__all__ = [
    "Attachment",
    "Email",
    "EmailReceipt",
    "Export",
    "ExportSettings",
    "ExportedFile",
    "FileSettings",
    "FileTask",
    "FoundJobs",
    "HandlerSettings",
    "Notification",
    "NotificationReceipt",
    "NotifySettings",
    "ProcessedFile",
    "Report",
    "ReportFile",
    "ReportSettings",
    "Shared",
    "Sms",
    "SmsReceipt",
    "SmtpSettings",
    "TlsMode",
    "WebhookCall",
    "WebhookReceipt",
    "WebhookSettings",
    "app",
    "builtin_app",
    "call_webhook",
    "export_data",
    "generate_report",
    "opened",
    "process_file",
    "send_email",
    "send_notification",
    "send_sms",
]


def builtin_app(settings: HandlerSettings) -> App[Shared]:
    """Return an app of the built-in handlers with these settings."""

    def lifespan() -> AbstractAsyncContextManager[Shared]:
        return opened(settings)

    built_in = App("builtin", lifespan=lifespan)
    # Mail servers that greylist ask for some 15 minutes; a full mailbox takes longer.
    built_in.job("email.send", timeout=300, retry=Retry(max_attempts=8, base=2.0, cap=1800.0))(send_email)
    built_in.job("report.generate", timeout=900)(generate_report)
    # A call ends by itself within CALL_WITHIN_S.
    built_in.job(CALL_TYPE, timeout=60, retry=Retry(delays=RETRY_DELAYS_S), result_ttl=86_400)(call_webhook)
    built_in.job("notify.send", timeout=120, retry=Retry(max_attempts=8, base=2.0, cap=1800.0))(send_notification)
    built_in.job("sms.send", timeout=120, retry=Retry(max_attempts=5, base=5.0, cap=600.0))(send_sms)
    built_in.job("file.process", timeout=3_600)(process_file)
    built_in.job("data.export", timeout=6 * 3_600)(export_data)
    return built_in


app = builtin_app(HandlerSettings())
