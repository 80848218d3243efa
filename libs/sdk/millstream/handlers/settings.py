"""Settings of the built-in handlers. An entry point fills them in."""

from typing import Literal

from msgspec import Struct

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
