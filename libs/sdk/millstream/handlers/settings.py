"""What the built-in handlers need to know of their surroundings. An entry point fills these in."""

from typing import Literal

from msgspec import Struct

TlsMode = Literal["none", "starttls", "tls"]
"""In clear; upgraded after the greeting; or encrypted from the first byte."""


class SmtpSettings(Struct, frozen=True, kw_only=True):
    """The server that takes the mail of `email.send`."""

    host: str = "127.0.0.1"
    port: int = 25
    """25 between servers, 587 with `starttls`, 465 with `tls`."""
    tls: TlsMode = "none"
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    """PEM file of the authority to trust instead of the system's."""
    sender: str = "millstream@localhost"
    """Who a mail is from that does not say."""
    timeout_s: float = 30.0
    """Longest wait for the connection, and for each answer."""
    connections: int = 4
    """Mails sent at the same time by one worker process; each connection is used for many mails."""

    def __post_init__(self) -> None:
        if self.username is not None and self.tls == "none":
            raise ValueError("SMTP credentials are not sent in clear: set tls to `starttls` or `tls`")

    def __repr__(self) -> str:
        return f"SmtpSettings(host={self.host!r}, port={self.port}, tls={self.tls!r}, username={self.username!r})"


class ReportSettings(Struct, frozen=True, kw_only=True):
    """Where `report.generate` leaves its files."""

    folder: str = "reports"
    """Made when it is missing."""


class HandlerSettings(Struct, frozen=True, kw_only=True):
    """Settings of all built-in handlers."""

    smtp: SmtpSettings = SmtpSettings()
    reports: ReportSettings = ReportSettings()
