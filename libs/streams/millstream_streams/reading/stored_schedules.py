"""A schedule or a backfill as its hash in Redis has it, and a change of it."""

from collections.abc import Mapping

from msgspec import Struct

from millstream_contracts import JobId

Fields = Mapping[str, str | bytes]
"""What a change writes into the hash, by the names of the attributes of :class:`StoredSchedule`."""


def backfill_name(schedule: str, backfill_id: str) -> str:
    """Return the name of a backfill; that of no schedule has a space."""
    return f"{schedule} {backfill_id}"


def is_backfill(name: str) -> bool:
    """Whether a name is that of a backfill."""
    return " " in name


def schedule_of(name: str) -> str:
    """Return the schedule of a backfill by the name of that; of a schedule its own name."""
    return name.partition(" ")[0]


class StoredSchedule(Struct, frozen=True, kw_only=True):
    """A schedule, or a backfill of one. Times are Unix ms."""

    name: str
    turn: str
    """Changes with each change. A change is refused whose author has read another one."""
    version: int = 0
    rules: bytes = b""
    """ScheduleRules in MessagePack."""
    job: bytes = b""
    """The submission in MessagePack; empty where it was not asked for."""
    type: str = ""
    """The type of the job."""
    description: str = ""
    state: str = ""
    reason: str = ""
    owner: str = "api"
    app: str = ""
    release: str = ""
    started_ms: int = 0
    """Of one declared by code: the start of the worker that declared it last."""
    seen_ms: int = 0
    """Of one declared by code: when a worker last declared it."""
    created_ms: int = 0
    updated_ms: int = 0
    paused_ms: int = 0
    next_ms: int = 0
    """The nominal time of the next occasion; 0 when there is none."""
    fires_ms: int = 0
    last_ms: int = 0
    """The nominal time of the last occasion that was decided on."""
    last_fired_ms: int = 0
    """The nominal time of the last occasion that started a job."""
    jobs: tuple[JobId, ...] = ()
    """The last job of a schedule; the jobs of a backfill that had not ended."""
    waiting_ms: int = 0
    """The nominal time of the occasion that waits for the end of the last job; 0 when there is none."""
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    failed: int = 0
    error: str = ""
    zones: str = ""
    """The release of the time zone database that has moved `next_ms`; empty where none has."""
    from_ms: int = 0
    to_ms: int = 0
    parallel: int = 0
    occasions: int = 0
    """Of a backfill: how many occasions it has."""
    finished_ms: int = 0


class DueSchedule(Struct, frozen=True):
    """A name whose time has come, under a lease."""

    name: str
    stored: StoredSchedule | None
    """None when what is stored cannot be read."""
    unstored: frozenset[str]
    """The ids in its `jobs` that are decided on and not stored yet."""


class DueSchedules(Struct, frozen=True):
    """What a shard has that is due."""

    now_ms: int
    next_in_ms: int | None
    """Until the next name is due; None when there is none."""
    found: list[DueSchedule]


class ScheduleChange(Struct, frozen=True, kw_only=True):
    """A change of a schedule that nothing else has changed since it was read."""

    name: str
    turn: str
    """The turn that was read; empty for one that is to be new."""
    tick_ms: int | None
    """When it is looked at next; None for never."""
    line: str
    """What the index says of it."""
    fields: Fields
    job_id: str = ""
    """The job that starts; empty for none."""
    nominal_ms: int = 0


class DecidedStart(Struct, frozen=True):
    """A job that is to be stored: one that an occasion starts."""

    id: JobId
    name: str
    nominal_ms: int
    decided_ms: int
    submission: bytes
    """In MessagePack."""

    @property
    def schedule(self) -> str:
        """The name of the schedule, also for a job of a backfill."""
        return schedule_of(self.name)


class TakenStarts(Struct, frozen=True):
    """Jobs to be stored, under a lease."""

    next_in_ms: int | None
    starts: list[DecidedStart]
    unreadable: list[JobId]
    """The ids of those that this release cannot read."""


class IndexLine(Struct, frozen=True):
    """What the index says of a schedule or a backfill."""

    state: str
    owner: str = ""
    type: str = ""

    def text(self) -> str:
        """Return the line as it is stored."""
        return f"{self.state} {self.owner} {self.type}"


def read_line(text: bytes) -> IndexLine:
    """Return a line of the index; of one that cannot be read, what there is."""
    state, owner, job_type, *_ = (*text.decode(errors="replace").split(" "), "", "")
    return IndexLine(state, owner, job_type)


_NUMBERS = tuple(name for name, kind in StoredSchedule.__annotations__.items() if kind is int)
_TEXTS = ("turn", "type", "description", "state", "reason", "owner", "app", "release", "error", "zones")


def read_schedule(name: str, fields: Mapping[bytes, bytes]) -> StoredSchedule | None:
    """Return what a hash has; None when another program wrote it."""
    if b"turn" not in fields:
        return None
    try:
        texts = {one: fields[key].decode() for one in _TEXTS if (key := one.encode()) in fields}
        numbers = {one: int(fields[key]) for one in _NUMBERS if (key := one.encode()) in fields}
        jobs = tuple(JobId(one) for one in fields.get(b"jobs", b"").decode().split())
    except (ValueError, OverflowError):
        return None
    rules, job = fields.get(b"rules", b""), fields.get(b"job", b"")
    return StoredSchedule(name=name, rules=rules, job=job, jobs=jobs, **texts, **numbers)  # type: ignore[arg-type]


def read_start(job_id: bytes, text: bytes) -> DecidedStart | None:
    """Return what the outbox has of a job; None when this release cannot read it."""
    head, _, submission = text.partition(b"\n")
    try:
        name, nominal_ms, decided_ms = head.decode().rsplit(" ", 2)
        return DecidedStart(JobId(job_id.decode()), name, int(nominal_ms), int(decided_ms), submission)
    except ValueError:
        return None
