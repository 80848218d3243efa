"""Settings of the built-in handlers. An entry point fills them in."""

from typing import Literal

from msgspec import Struct

from millstream.handlers.notify.apprise_sender import CHAT_SCHEMES, SMS_SCHEMES, check_scheme

TlsMode = Literal["none", "starttls", "tls"]
"""Without encryption; encrypted after the greeting; or encrypted from the first byte."""


class SmtpSettings(Struct, frozen=True, kw_only=True):
    """The SMTP server of `email.send`."""

    host: str = "127.0.0.1"
    port: int = 25
    """25 between servers, 587 with `starttls`, 465 with `tls`."""
    tls: TlsMode = "none"
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    """PEM file of the authority to trust, in place of those of the system."""
    sender: str = "millstream@localhost"
    """The sender of mails without a `from`."""
    timeout_s: float = 30.0
    """Longest wait for the connection and for each answer of the server."""
    connections: int = 4
    """Connections of one worker process, each of which sends one mail at a time."""

    def __post_init__(self) -> None:
        if self.username is not None and self.tls == "none":
            raise ValueError("SMTP credentials are not sent in clear: set tls to `starttls` or `tls`")

    def __repr__(self) -> str:
        return f"SmtpSettings(host={self.host!r}, port={self.port}, tls={self.tls!r}, username={self.username!r})"


class ReportSettings(Struct, frozen=True, kw_only=True):
    """Settings of `report.generate`."""

    folder: str = "reports"
    """Folder of the files. It is created when it is missing."""
    font: str | None = None
    """TrueType file of the letters in a PDF. Without it those of European languages are there."""
    api_url: str = "http://127.0.0.1:8080"
    """The HTTP API, for reports of the jobs that a query finds."""
    api_key: str | None = None
    """The key for it, where it asks for one."""

    def __repr__(self) -> str:
        return f"ReportSettings(folder={self.folder!r}, font={self.font!r}, api_url={self.api_url!r})"


class ExportSettings(Struct, frozen=True, kw_only=True):
    """Settings of `data.export`."""

    folder: str = "exports"
    """Folder of the files. It is created when it is missing."""
    api_url: str = "http://127.0.0.1:8080"
    """The HTTP API, from which jobs are read."""
    api_key: str | None = None
    """The key for it, where it asks for one."""

    def __repr__(self) -> str:
        return f"ExportSettings(folder={self.folder!r}, api_url={self.api_url!r})"


class FileSettings(Struct, frozen=True, kw_only=True):
    """Settings of `file.process`."""

    root: str = "files"
    """Folder of the local files; no job reaches a file out of it."""
    protocols: tuple[str, ...] = ()
    """Protocols of the object stores that jobs may name, such as `s3`, each with its package for fsspec."""


class NotifySettings(Struct, frozen=True, kw_only=True):
    """Settings of `notify.send` and `sms.send`. The URLs are those of Apprise, and hold credentials."""

    urls: tuple[str, ...] = ()
    """Where notifications go."""
    sms_url: str | None = None
    """The gateway for SMS, without a telephone number."""

    def __post_init__(self) -> None:
        for url in self.urls:
            check_scheme(url, CHAT_SCHEMES)
        if self.sms_url is not None:
            check_scheme(self.sms_url, SMS_SCHEMES)

    def __repr__(self) -> str:
        return f"NotifySettings({len(self.urls)} URLs)"


class WebhookSettings(Struct, frozen=True, kw_only=True):
    """Settings of `webhook.call`."""

    key: str | None = None
    """What the secrets of endpoints are derived from. Without it calls are not signed."""
    key_before: str | None = None
    """The key before the last change of it. While it is set, calls have the signatures of both."""
    networks: tuple[str, ...] = ()
    """Private networks that calls may go to, such as `10.0.0.0/8`. Without them calls go to public addresses alone."""

    def __repr__(self) -> str:
        return f"WebhookSettings(networks={self.networks!r})"


class HandlerSettings(Struct, frozen=True, kw_only=True):
    """Settings of all built-in handlers."""

    smtp: SmtpSettings = SmtpSettings()
    reports: ReportSettings = ReportSettings()
    webhooks: WebhookSettings = WebhookSettings()
    notify: NotifySettings = NotifySettings()
    files: FileSettings = FileSettings()
    exports: ExportSettings = ExportSettings()
