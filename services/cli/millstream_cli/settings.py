"""The settings of every service, each with its default, its bounds and what it means.

Only this package reads the environment. One environment may serve all services: a variable that any of them
knows is known to all.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from millstream_contracts import limits
from millstream_runtime.settings.masking import mask_path, mask_text
from millstream_runtime.settings.reader import read_settings
from millstream_runtime.settings.secret import Secret

_ADDRESS = {"is_address": True}
"""Marks what is shown without credentials, and not at all where it cannot be read."""

Port = Annotated[int, Meta(ge=1, le=65_535, description="a port from 1 to 65535")]
Url = Annotated[
    str,
    Meta(pattern=r"^https?://[^\s/]+", description="an address such as http://127.0.0.1:8080", extra=_ADDRESS),
]
# Only the scheme: `millstream_streams` reads the rest, and says what is wrong with it.
RedisUrl = Annotated[
    str,
    Meta(
        pattern=r"^rediss?(\+sentinel|\+cluster)?://\S+$",
        description="an address such as redis://127.0.0.1:6379/0, redis+sentinel://... or redis+cluster://...",
        extra=_ADDRESS,
    ),
]
Namespace = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="a short word of a-z, 0-9 and `-`")]
AppPath = Annotated[str, Meta(pattern=r"^[\w.]+:[\w.]+$", description="an app such as shop.jobs:app")]
TypeGlob = Annotated[
    str, Meta(pattern=r"^[a-z0-9.*?-]{1,64}$", description="a job type, or a pattern such as invoice.*")
]
HistoryUrl = Annotated[
    str,
    Meta(
        pattern=r"^postgres(ql)?://\S+$",
        description="an address such as postgresql://user:password@host/name",
        extra=_ADDRESS,
    ),
]
PriorityRule = Annotated[
    str,
    Meta(
        pattern=r"^(strict|[1-9]\d{0,3}/[1-9]\d{0,3}/[1-9]\d{0,3})$",
        description="`strict`, or the weights of high/normal/low such as 70/20/10",
    ),
]
LogLevel = Literal["debug", "info", "warning", "error"]
TracePropagation = Literal["auto", "child", "link"]
SmtpTls = Literal["none", "starttls", "tls"]

_HOUR_S = 3_600.0
_DAY_S = 86_400.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What all settings have in common: their text holds no secret."""

    def __repr__(self) -> str:
        values = (f"{name}={_shown(name, value)}" for name, value in msgspec.structs.asdict(self).items())
        return f"{type(self).__name__}({', '.join(values)})"


class RedisSettings(Settings, frozen=True, kw_only=True):
    """What every process needs that talks to Redis. See docs/redis.md."""

    redis_url: RedisUrl = "redis://127.0.0.1:6379/0"
    """One server, Sentinel or Cluster, by scheme; with `rediss` every connection is encrypted."""
    redis_username: str | None = None
    """The user to log in as, unless the URL names it; unset: Redis's default user."""
    redis_password: Secret | None = None
    """Its password, unless it is in the URL; better given as a file."""
    redis_ca_file: Path | None = None
    """Who signs the certificates of Redis and its Sentinels, in PEM: these alone are trusted. Unset: whom the system
    trusts."""
    redis_cert_file: Path | None = None
    """Our own certificate, in PEM, for a Redis that wants one."""
    redis_key_file: Path | None = None
    """Its key, without a pass phrase; unset when it is in the file of the certificate."""
    sentinel_username: str | None = None
    """The user to log in as at the Sentinels, which know nothing of the users of Redis."""
    sentinel_password: Secret | None = None
    """Their password; better given as a file."""
    namespace: Namespace = "ms"
    """What all keys begin with, so that several installations can share a Redis."""


class ServiceSettings(RedisSettings, frozen=True, kw_only=True):
    """What every service has."""

    log_level: LogLevel = "info"
    """The least grave of what is logged."""
    trace_propagation: TracePropagation = "auto"
    """Whether attempts are children of the submission's trace or linked to it; `auto` links the long delayed."""
    admin_host: str = "127.0.0.1"
    """The address of the health and metrics routes."""
    admin_port: Port | None = None
    """Their port. Unset: `ingest` has them on its own port, the others have none."""


class LeaseSettings(ServiceSettings, frozen=True, kw_only=True):
    """What workers and reapers must agree on."""

    lease_s: Annotated[float, Meta(ge=1.0, le=_HOUR_S)] = 30.0
    """How long a worker may be silent before its jobs go to others; no limit to how long a job may run."""
    max_crashes: Annotated[int, Meta(ge=1, le=limits.MAX_ATTEMPTS)] = 3
    """How many workers may vanish with a job before it is dead."""


class IngestSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of the HTTP API."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is all of them."""
    port: Port = 8080
    """The port to listen on."""
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BODY_BYTES)] = limits.MAX_BODY_BYTES
    """The largest request with one job; more is a 413."""
    max_batch_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BATCH_BODY_BYTES)] = limits.MAX_BATCH_BODY_BYTES
    """The largest request with many jobs."""
    max_backlog_jobs: Annotated[int, Meta(ge=limits.MAX_BATCH_JOBS, le=1_000_000)] = 20_000
    """Jobs held in memory while they wait for Redis; above it requests are refused with 503."""
    unknown_types: Literal["refuse", "accept"] = "refuse"
    """What becomes of a job type that no worker has registered, once any type is registered."""
    drain_s: Annotated[float, Meta(ge=0.0, le=300.0)] = 1.0
    """From SIGTERM until the port is closed, while readiness fails; above the period of the load balancer's probe."""


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
    renew_every_s: Annotated[float, Meta(ge=0.1, le=_HOUR_S)] = 2.0
    """How often leases are renewed; at most half of `lease_s`, so that one lost renewal costs nothing."""
    stalled_loop_s: Annotated[float, Meta(ge=1.0, le=_HOUR_S)] = 60.0
    """How long a handler may block the event loop before the worker is taken for dead."""
    unknown_types: Literal["refuse", "accept"] = "refuse"
    """As for `ingest`, of the jobs that handlers submit."""
    grace_s: Annotated[float, Meta(ge=0.0, le=_HOUR_S)] = 20.0
    """From SIGTERM until jobs that still run are stopped and handed back. Kubernetes kills after 30 s by default, and
    `cleanup_s` comes on top."""
    cleanup_s: Annotated[float, Meta(ge=0.0, le=_HOUR_S)] = 5.0
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

    def __post_init__(self) -> None:
        if self.renew_every_s * 2 > self.lease_s:
            raise ValueError(
                f"MILLSTREAM_RENEW_EVERY_S={self.renew_every_s:g}: expected at most half of "
                f"MILLSTREAM_LEASE_S, which is {self.lease_s:g}"
            )
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("MILLSTREAM_SMTP_USERNAME and MILLSTREAM_SMTP_PASSWORD go together: one is unset")


class DispatcherSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of the dispatcher."""

    gauges_every_s: Annotated[float, Meta(ge=0.5, le=_HOUR_S)] = 5.0
    """How often the depth and age of the queues are measured."""
    history_url: HistoryUrl | None = None
    """The PostgreSQL that remembers every job; unset: nothing does. Better given as a file, for it holds a password."""


class HistorySettings(Settings, frozen=True, kw_only=True):
    """What whoever looks after the history database needs."""

    history_url: HistoryUrl | None = None
    """As for the dispatcher."""


class ReaperSettings(LeaseSettings, frozen=True, kw_only=True):
    """Settings of the reaper."""

    interval_s: Annotated[float, Meta(ge=0.1, le=_HOUR_S)] = 5.0
    """How often it looks for what vanished workers held; such a job runs again within `lease_s` plus this."""
    events_kept: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 100_000
    """Entries per event stream at most; those that nobody has read yet are counted as lost."""
    consumer_idle_s: Annotated[float, Meta(ge=60.0, le=30 * _DAY_S)] = _HOUR_S
    """After how long without a sign of life a consumer that holds no job is removed."""


class ClientSettings(Settings, frozen=True, kw_only=True):
    """Settings of the commands that talk to the HTTP API."""

    url: Url = "http://127.0.0.1:8080"
    """Where ingest is."""


ALL_SETTINGS: tuple[type[msgspec.Struct], ...] = (
    IngestSettings,
    WorkerSettings,
    DispatcherSettings,
    ReaperSettings,
    ClientSettings,
)

S = TypeVar("S", bound=msgspec.Struct)


def load(kind: type[S], environ: Mapping[str, str], **options: object) -> S:
    """Return a service's settings from `MILLSTREAM_*`; `options` of the command line win, unless None.

    Raises: SettingsError, with a line for everything that is wrong.
    """
    known = {field.name for struct in ALL_SETTINGS for field in msgspec.structs.fields(struct)}
    return read_settings(kind, environ, options=options, known=known)


def _shown(name: str, value: object) -> str:
    # A path has one slash where an address that was put there had two.
    if isinstance(value, Path) and (name.endswith("_file") or ":/" in str(value)):
        return repr(mask_path(value))
    return repr(mask_text(value)) if isinstance(value, str) else repr(value)
