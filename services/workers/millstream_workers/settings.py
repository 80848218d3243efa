"""What can be set of a worker."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from millstream_runtime import HOUR_S, LeaseSettings, Port, Secret
from millstream_submission import UnknownTypes

BUILTIN = "millstream.handlers:app"
"""The app with the built-in handlers."""

AppPath = Annotated[str, Meta(pattern=r"^[\w.]+:[\w.]+$", description="an app such as shop.jobs:app")]
TypeGlob = Annotated[
    str, Meta(pattern=r"^[a-z0-9.*?-]{1,64}$", description="a job type, or a pattern such as invoice.*")
]
PriorityRule = Annotated[
    str,
    Meta(
        pattern=r"^(strict|[1-9]\d{0,3}/[1-9]\d{0,3}/[1-9]\d{0,3})$",
        description="`strict`, or the weights of high/normal/low such as 70/20/10",
    ),
]
SmtpTls = Literal["none", "starttls", "tls"]


class WorkerSettings(LeaseSettings, frozen=True, kw_only=True):
    """Settings of a worker."""

    apps: tuple[AppPath, ...] = ()
    """The apps whose handlers it runs, each `module:name`; the built-in handlers alone when empty."""
    types: tuple[TypeGlob, ...] = ()
    """The job types it takes; all that its apps handle when empty."""
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """How many jobs one process runs at a time."""
    code_version: str = ""
    """Release of the apps, shown in `/v1/types`; it tells two releases apart that describe a type in the same way."""
    processes: Annotated[int, Meta(ge=1, le=256)] = 1
    """How many processes of the worker to run."""
    renew_every_s: Annotated[float, Meta(ge=0.1, le=HOUR_S)] = 2.0
    """How often leases are renewed; at most half of `lease_s`, so that one lost renewal costs nothing. Also how late a
    handler may learn of its cancellation when the hint of it was lost."""
    beat_every_s: Annotated[float, Meta(ge=0.5, le=10.0)] = 5.0
    """How often a worker says that it lives, and which types it handles."""
    stalled_loop_s: Annotated[float, Meta(ge=1.0, le=HOUR_S)] = 60.0
    """How long a handler may block the event loop before the worker is taken for dead: no lease is renewed, `/livez`
    fails."""
    unknown_types: UnknownTypes = "refuse"
    """As for `ingest`, of the jobs that handlers submit."""
    grace_s: Annotated[float, Meta(ge=0.0, le=HOUR_S)] = 20.0
    """From SIGTERM until jobs that still run are stopped and handed back. Kubernetes kills after 30 s by default, and
    `cleanup_s` comes on top."""
    cleanup_s: Annotated[float, Meta(ge=0.0, le=HOUR_S)] = 5.0
    """How long a handler that is stopped may clean up, before it is cancelled for good."""
    priority: PriorityRule = "70/20/10"
    """`strict`, or how often each of high/normal/low is asked first."""
    smtp_host: str | None = None
    """The mail server of `email.send`; unset: this worker does not take mails."""
    smtp_port: Port = 587
    """Its port."""
    smtp_tls: SmtpTls = "starttls"
    """How the connection to it is encrypted."""
    smtp_username: str | None = None
    """The account to send from, if the server wants one."""
    smtp_password: Secret | None = None
    """Its password; better given as a file."""
    reports_folder: Path = Path("reports")
    """Where `report.generate` puts its files."""

    @property
    def weights(self) -> tuple[int, int, int] | None:
        """Return the weights of high, normal and low, or None for strict order."""
        if self.priority == "strict":
            return None
        high, normal, low = map(int, self.priority.split("/"))
        return high, normal, low

    @property
    def app_refs(self) -> tuple[str, ...]:
        """Return the apps that a handler process loads: the built-in one gets its settings here, and stays here."""
        return tuple(ref for ref in self.apps if ref != BUILTIN)

    def __post_init__(self) -> None:
        if self.renew_every_s * 2 > self.lease_s:
            raise ValueError(
                f"MILLSTREAM_RENEW_EVERY_S={self.renew_every_s:g}: expected at most half of "
                f"MILLSTREAM_LEASE_S, which is {self.lease_s:g}"
            )
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("MILLSTREAM_SMTP_USERNAME and MILLSTREAM_SMTP_PASSWORD go together: one is unset")
