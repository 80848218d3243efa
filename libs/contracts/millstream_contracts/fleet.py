"""Queues, workers and the processes of services as operators see them."""

from datetime import datetime

from msgspec import Struct

from millstream_contracts.breaker import BreakerState
from millstream_contracts.ids import DEFAULT_TENANT, JobType


class QueueStatus(Struct, kw_only=True, frozen=True):
    """A job type's counts, summed over its partitions."""

    type: JobType
    partitions: int
    queued: dict[str, int]
    """Ready jobs by priority."""
    parked: int = 0
    """Those of them that a limit holds back."""
    running: int
    scheduled: int
    blocked: int
    dead: int
    paused: bool = False
    breaker: BreakerState | None = None
    """The state of its circuit breaker; null without one."""
    breaker_opened: int = 0
    """How often that has opened."""
    held_until: datetime | None = None
    """Up to when a handler holds the type back: no job of it starts."""
    oldest_ready_age_s: float = 0.0
    """How long the longest-waiting ready job has been ready; 0 when none waits."""
    oldest_dead_age_s: float = 0.0


class Demand(Struct, kw_only=True, frozen=True):
    """How many workers there should be for some job types, or for all. Of paused queues only `running` counts."""

    queued: int
    """Ready jobs."""
    running: int
    """Jobs that a worker has, also one that has died: a reaper makes those ready again when their lease is over."""
    due_soon: int
    """Jobs that wait for a time, and are due within `MILLSTREAM_DUE_SOON_S`."""
    oldest_ready_age_s: float
    """How long the longest-waiting ready job has been ready; 0 when none waits."""
    slots: int
    """Jobs that the live workers of these types can run at once."""
    wanted_workers: int
    """Worker processes that have a slot for each of these jobs; 1 where none lives that tells how many slots it has."""


class RunningJob(Struct, frozen=True):
    """One delivery in a worker's hands."""

    id: str
    started_at: datetime
    tenant: str = DEFAULT_TENANT


class WorkerInfo(Struct, kw_only=True, frozen=True):
    """A worker process, as its last heartbeat described it."""

    name: str
    """`host:pid:nonce`, new at each start."""
    types: list[str]
    concurrency: int
    tenants: list[str] = []
    """The tenants whose jobs it takes; empty: every tenant."""
    running: list[RunningJob] = []
    """At most the 100 that have run longest."""
    busy: int = 0
    started_at: datetime
    """When it first registered, by the clock of Redis."""
    seen_at: datetime
    """When Redis took its last heartbeat, by the clock of Redis."""
    version: str = ""
    state: str = "active"
    """`active`, or `draining` after an order to stop."""
    host: str = ""
    """The machine or container that it runs on. This and what follows is missing of an older release."""
    rss_bytes: int | None = None
    """Resident memory of the worker itself, without its handler processes."""
    loop_lag_ms: float | None = None
    """The longest time since the heartbeat before for which its event loop did not get to what was due; None where the
    loop is not watched."""

    def serves(self, tenant: str) -> bool:
        """Return whether it takes the jobs of a tenant."""
        return not self.tenants or tenant in self.tenants


class DutyInfo(Struct, kw_only=True, frozen=True):
    """How a periodic duty of a process fares. Times are by the clock of the process."""

    name: str
    last_success_at: datetime | None = None
    """When a pass last went well."""
    failures: int = 0
    """Passes that have failed in a row; 0 when the last one went well."""
    last_error: str = ""
    """Of the last pass that failed, in one line, also when later ones went well."""
    last_error_at: datetime | None = None


class ServiceInfo(Struct, kw_only=True, frozen=True):
    """A process of any service, as its last heartbeat described it."""

    name: str
    """`host:pid:nonce`, new at each start."""
    service: str
    """`ingest`, `workers`, `dispatcher` or `reaper`."""
    version: str
    """The release of Millstream."""
    settings: dict[str, float | str] = {}
    """By variable, those of its settings on which processes have to agree."""
    started_at: datetime
    """By the clock of the process."""
    sent_at: datetime
    """When it sent its last heartbeat, by the clock of the process."""
    seen_at: datetime
    """When Redis took its last heartbeat, by the clock of Redis."""
    duties: list[DutyInfo] = []
    """Those of a dispatcher or a reaper; none of an older release."""
