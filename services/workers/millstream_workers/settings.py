"""Settings of a worker."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from millstream_contracts import EVERY_TENANT, NAME_PATTERN, Tenant, limits
from millstream_runtime import HOUR_S, LeaseSettings, Port, Secret, Url
from millstream_submission import UnknownTypes
from millstream_workers.serving import Served

BUILTIN = "millstream.handlers:app"
"""The app with the built-in handlers."""

AppPath = Annotated[str, Meta(pattern=r"^[\w.]+:[\w.]+$", description="an app such as shop.jobs:app")]
TypeGlob = Annotated[
    str, Meta(pattern=r"^[a-z0-9.*?-]{1,64}$", description="a job type, or a pattern such as invoice.*")
]
TenantName = Annotated[str, Meta(pattern=NAME_PATTERN, description="the name of a tenant, such as acme")]
PriorityRule = Annotated[
    str,
    Meta(
        pattern=r"^(strict|[1-9]\d{0,3}/[1-9]\d{0,3}/[1-9]\d{0,3})$",
        description="`strict`, or the weights of high/normal/low such as 70/20/10",
    ),
]
Protocol = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]{0,15}$", description="a protocol such as s3")]
SmtpTls = Literal["none", "starttls", "tls"]


class WorkerSettings(LeaseSettings, frozen=True, kw_only=True):
    """Settings of a worker."""

    apps: tuple[AppPath, ...] = ()
    """The apps whose handlers the worker runs, each `module:name`. Empty: the built-in handlers."""
    types: tuple[TypeGlob, ...] = ()
    """The job types that the worker takes. Empty: all that its apps handle."""
    tenants: tuple[TenantName, ...] = ()
    """The tenants whose jobs the worker takes. Empty, or `all`: every tenant, also one that is made later."""
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """The number of jobs that one process runs at a time."""
    code_version: str = ""
    """The release of the apps, shown in `/v1/types`. Unset: two releases that describe a type alike count as one."""
    processes: Annotated[int, Meta(ge=1, le=256)] = 1
    """The number of processes."""
    renew_every_s: Annotated[float, Meta(ge=0.1, le=HOUR_S)] = 2.0
    """How often leases are renewed; at most half of `lease_s`, so that a lost renewal costs nothing. A handler
    learns of its cancellation late by this much at most when the hint was lost."""
    beat_every_s: Annotated[float, Meta(ge=0.5, le=10.0)] = 5.0
    """How often the worker sends its heartbeat and the types that it handles."""
    stalled_loop_s: Annotated[float, Meta(ge=1.0, le=HOUR_S)] = 60.0
    """How long a handler may block the event loop before the worker counts as dead: it renews no lease, and `/livez`
    fails."""
    blocked_loop_s: Annotated[float, Meta(ge=0.0, le=HOUR_S)] = 1.0
    """How long a handler may block the event loop before a warning names it, with its stack. 0: no warning."""
    unknown_types: UnknownTypes = "refuse"
    """As for `ingest`, for the jobs that handlers submit."""
    grace_s: Annotated[float, Meta(ge=0.0, le=HOUR_S)] = 20.0
    """How long running jobs may go on after SIGTERM before they are stopped and handed back. `cleanup_s` comes on top;
    Kubernetes kills after 30 s by default."""
    cleanup_s: Annotated[float, Meta(ge=0.0, le=HOUR_S)] = 5.0
    """How long a stopped handler may clean up before it is cancelled for good."""
    priority: PriorityRule = "70/20/10"
    """The order of priorities: `strict`, or the weights by which high, normal and low are claimed first."""
    log_error_messages: bool = False
    """Whether the log line of a failed attempt has the message of its error, which may quote what users have sent. It
    has where the error was raised in any case. On a terminal it has the message too."""
    log_lines_bytes: Annotated[int, Meta(ge=0, le=limits.MAX_LOG_LINES_BYTES)] = 8_192
    """How many bytes the last log lines may take that are kept with an attempt that failed, or with any, as its type
    says. They go through Redis into the history. 0: none are kept."""
    smtp_host: str | None = None
    """The mail server of `email.send`. Unset: this worker does not take that type."""
    smtp_port: Port = 587
    """The port of the mail server."""
    smtp_tls: SmtpTls = "starttls"
    """The encryption of the connection to the mail server."""
    smtp_username: str | None = None
    """The account at the mail server, if it wants one."""
    smtp_password: Secret | None = None
    """The password of this account; better given as a file."""
    reports_folder: Path = Path("reports")
    """The folder in which `report.generate` puts its files."""
    reports_font: Path | None = None
    """The TrueType file of the letters in a PDF. Unset: those of European languages are there."""
    exports_folder: Path = Path("exports")
    """The folder in which `data.export` puts its files."""
    url: Url = "http://127.0.0.1:8080"
    """The address of ingest, from which `data.export` and `report.generate` read the jobs that a query finds."""
    api_key: Secret | None = None
    """The key for ingest, where it asks for one; better given as a file."""
    files_root: Path | None = None
    """The folder of the local files of `file.process`. Unset: this worker does not take that type."""
    files_protocols: tuple[Protocol, ...] = ()
    """The object stores that `file.process` may use too, such as `s3`, each with its package for fsspec."""
    notify_urls: Secret | None = None
    """Where `notify.send` sends: URLs of Apprise with spaces between them. Unset: this worker does not take that
    type."""
    sms_url: Secret | None = None
    """The gateway of `sms.send`: a URL of Apprise without a telephone number. Unset: this worker does not take that
    type."""

    @property
    def served(self) -> Served:
        """Return which tenants the worker serves."""
        return Served(() if EVERY_TENANT in self.tenants else tuple(map(Tenant, self.tenants)))

    @property
    def weights(self) -> tuple[int, int, int] | None:
        """Return the weights of high, normal and low, or None for strict order."""
        if self.priority == "strict":
            return None
        high, normal, low = map(int, self.priority.split("/"))
        return high, normal, low

    @property
    def app_refs(self) -> tuple[str, ...]:
        """Return the apps that a handler process loads. The built-in app is none: its settings are only here."""
        return tuple(ref for ref in self.apps if ref != BUILTIN)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.renew_every_s * 2 > self.lease_s:
            raise ValueError(
                f"MILLSTREAM_RENEW_EVERY_S={self.renew_every_s:g}: expected at most half of "
                f"MILLSTREAM_LEASE_S, which is {self.lease_s:g}"
            )
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("MILLSTREAM_SMTP_USERNAME and MILLSTREAM_SMTP_PASSWORD go together: one is unset")
