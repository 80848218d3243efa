"""How the installation fares: Redis, the history, the processes of its services, and what needs a look."""

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from millstream_contracts.fleet import DutyInfo
from millstream_contracts.statistics import StatGap

CheckStatus = Literal["ok", "warn", "bad"]
"""Well; could be better; must change."""


class SystemCheck(Struct, kw_only=True, frozen=True):
    """One thing that was looked at."""

    name: str
    """The part of the system: `redis`, `history`, `services`, `duties` or `encryption`."""
    status: CheckStatus
    detail: str
    """What was found, in a sentence."""
    fix: str = ""
    """The command that mends it, where one does."""


class RedisServer(Struct, kw_only=True, frozen=True):
    """One server. What it hides, as managed services do, is None."""

    address: str
    role: str
    """`primary`, `replica` or `sentinel`."""
    unseen: str = ""
    """Why it could not be asked; then nothing else is known."""
    server: str | None = None
    """`redis` or `valkey`."""
    version: str | None = None
    uptime_s: int | None = None
    used_bytes: int | None = None
    max_bytes: int | None = None
    """`maxmemory`; 0 without a limit."""
    maxmemory_policy: str | None = None
    evicted_keys: int | None = None
    appendonly: bool | None = None
    aof_writes_ok: bool | None = None
    snapshot_ok: bool | None = None
    online_replicas: int | None = None


class RedisStatus(Struct, kw_only=True, frozen=True):
    """The Redis behind the address."""

    mode: str
    """`single`, `sentinel` or `cluster`."""
    is_suitable: bool
    """Whether jobs are safe on it."""
    servers: list[RedisServer]
    round_trip_ms: float | None = None
    clock_ahead_ms: float | None = None
    """By how much its clock is ahead of that of ingest, give or take half a round trip."""


class HistoryStatus(Struct, kw_only=True, frozen=True):
    """The history database."""

    revision: str
    """Of its tables."""
    release_revision: str
    """That of this release."""
    lag_s: float | None = None
    """How old the oldest event is that it does not have yet; None where that is not known."""
    oldest_day: date | None = None
    """Of the partitions."""
    newest_day: date | None = None
    size_bytes: int
    """Of tables and indexes."""
    kept_days: int | None = None
    """`MILLSTREAM_HISTORY_DAYS` of the dispatchers; None while none lives that tells."""
    gaps: list[StatGap] = []
    """Times of the last seven days of which events were lost."""


class ProcessStatus(Struct, kw_only=True, frozen=True):
    """A live process of a service, as its last heartbeat described it."""

    name: str
    """`host:pid:nonce`, new at each start."""
    service: str
    """`ingest`, `workers`, `dispatcher` or `reaper`."""
    version: str
    """The release of Millstream."""
    settings: dict[str, str]
    """By variable, those of its settings on which processes have to agree, as text."""
    started_at: datetime
    """By the clock of the process."""
    seen_at: datetime
    """When Redis took its last heartbeat, by the clock of Redis."""
    duties: list[DutyInfo] = []


class KeyEncryptionKey(Struct, kw_only=True, frozen=True):
    """A key that wraps data keys. Nothing of the key itself is shown."""

    id: str
    is_current: bool
    """Whether this ingest wraps new data keys by it."""
    is_known: bool
    """Whether this ingest has it, so that it opens what the key wraps."""
    data_keys: int
    """How many data keys are wrapped by it."""


class EncryptionStatus(Struct, kw_only=True, frozen=True):
    """The keys by which jobs are stored encrypted, as the ingest that answers has them."""

    encrypts: Literal["declared", "all"]
    """`MILLSTREAM_ENCRYPT` of this ingest."""
    keys: list[KeyEncryptionKey]
    """The present one, and those that wrap data keys, by id."""
    tenants: int
    """Tenants all of whose jobs are stored encrypted, whatever their types say."""


class System(Struct, kw_only=True, frozen=True):
    """How the installation fares."""

    looked_at: datetime
    checks: list[SystemCheck]
    """By part of the system, the worst first."""
    redis: RedisStatus | None = None
    """None while it cannot be asked."""
    history: HistoryStatus | None = None
    """None without one, and while it cannot be asked."""
    encryption: EncryptionStatus | None = None
    """None where nothing is encrypted and this ingest has no keys, and while it cannot be asked."""
    processes: list[ProcessStatus] = []
    """The live processes of services, by name."""
