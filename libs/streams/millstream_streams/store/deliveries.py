"""The arguments and results of the transitions: plain values, without Redis."""

from enum import IntEnum, StrEnum

from msgspec import Struct

from millstream_contracts import (
    PLAIN,
    AfterFailure,
    BatchId,
    BreakerState,
    Coding,
    JobError,
    JobId,
    JobSpec,
    KeptLines,
    OnConflict,
    Outcome,
    Priority,
    Progress,
    Queue,
    UniqueScope,
    WorkflowId,
)
from millstream_streams.store.keys import PRIORITIES


class NewJob(Struct, frozen=True, kw_only=True):
    """A checked submission, ready to be stored."""

    id: JobId
    spec: bytes
    """A JobSpec in MessagePack, with its payload as it was submitted."""
    created_at_ms: int = 0
    """The creation time, as in the spec."""
    priority: Priority = Priority.NORMAL
    delay_ms: int | None = None
    """The delay by the clock of Redis. It excludes `run_at_ms`."""
    run_at_ms: int | None = None
    expires_in_ms: int | None = None
    """The time until the expiry by the clock of Redis. It excludes `expires_at_ms`."""
    expires_at_ms: int | None = None
    idempotency: "Idempotency | None" = None
    parents: "Parents | None" = None
    callback: bytes = b""
    """Where its events go, as JSON without spaces; empty without a callback."""
    waited: bool = False
    """Whether a client waits for a hint when the job settles."""
    called: bool = False
    """Whether the handler of another job has called it, and reads its result later."""
    node: "NodeRef | None" = None
    """What it is of a workflow."""
    key: str = ""
    """Which of the limits of its queue count it: those of this key."""
    batch: BatchId | None = None
    """The batch that it is a member of."""
    unique: "UniqueKey | None" = None
    """The key that no other job of its queue may hold."""
    coding: Coding = PLAIN
    """How its payload is stored."""
    owner: str = ""
    """Who has submitted it, without spaces; empty where that is not known."""


class NodeRef(Struct, frozen=True):
    """Which node of which workflow a job runs, or which callback of a batch it is."""

    workflow: WorkflowId | BatchId
    node: str
    """Its place, of a node with `map` `<place>.<item>`; of a callback its event."""
    run: int = 1
    wants_result: bool = False
    """Whether another node refers to its result."""

    @property
    def text(self) -> str:
        """As a job has it."""
        return f"{self.workflow}:{self.node}:{self.run}"


class Parents(Struct, frozen=True):
    """The jobs that a new job waits for."""

    all: tuple[JobId, ...]
    open: tuple[JobId, ...]
    """Those that have not ended yet, or not so that the new job may start: it is blocked by them."""
    after_failure: AfterFailure = "wait"


class Idempotency(Struct, frozen=True):
    """The identity of a request: two requests with it are one."""

    key: bytes
    """A digest of the client's key."""
    fingerprint: str
    """A hexadecimal digest of the request."""

    @property
    def partition_seed(self) -> int:
        """The number that chooses the partition, so that a repetition finds that of the first request."""
        return int.from_bytes(self.key[:4])


class UniqueKey(Struct, frozen=True):
    """What makes a job the same work as others with it, and what becomes of it where another one holds the key."""

    scope: UniqueScope
    digest: str
    """A hexadecimal digest of the type and the whole key: what Redis compares."""
    on_conflict: OnConflict
    held_ms: int | None
    """With the scope `window`: for how long it is held, from the submission on."""
    text: str
    """The key, as it is shown to people."""

    @property
    def partition_seed(self) -> int:
        """The number that chooses the partition, so that all jobs with this key lie in one."""
        return int(self.digest[:8], 16)


class Durability(StrEnum):
    """The confirmation that a submission asks for; without one, it is stored in the memory of the primary."""

    REPLICATED = "replicated"
    """A replica has the job too (WAIT)."""
    FSYNCED = "fsynced"
    """The job is on the primary's disk (WAITAOF, from Redis and Valkey 7.2 on)."""


class EnqueueCode(IntEnum):
    """The result for a new job. The numbers are those of enqueue.lua."""

    STORED = 1
    STORED_BEFORE = 0
    REPLAYED = 2
    RETURNED = 3
    """Not stored: the job of the returned id holds its unique key, and stands for it."""
    KEY_REUSED = -1
    TOO_LATE = -3
    """Not stored, because an earlier try may have been, and its job forgotten since."""
    FULL = -4
    """Not stored, because the queue has as many jobs as its cap allows."""
    KEY_FULL = -6
    """Not stored, because its key has as many jobs as the cap of keys allows."""
    UNIQUE_CONFLICT = -5
    """Refused, because the job of the returned id holds its unique key."""


class Enqueued(Struct, frozen=True):
    """The response for a new job."""

    code: EnqueueCode
    id: JobId
    """The id of the earlier job, when the idempotency key was known; of the job that holds the unique key."""
    now_ms: int
    """The time of the call by the clock of Redis, at which a job without a time became ready."""
    due_ms: int | None = None
    """The time at which a job that was scheduled is due; None for all others."""
    retry_after_ms: int | None = None
    """Of a job that found the queue or its key full: when there may be room for it, at the pace of the last minute."""
    replaced: JobId | None = None
    """The job that was cancelled, because this one takes its unique key."""
    is_encrypted: bool = False
    """Whether a job that was stored now is stored encrypted."""

    @property
    def holder(self) -> JobId | None:
        """The job that holds the unique key, where this one was not stored for it."""
        return self.id if self.code in {EnqueueCode.RETURNED, EnqueueCode.UNIQUE_CONFLICT} else None


class Delivery(Struct, frozen=True, kw_only=True):
    """One hand-over of one job to this worker."""

    queue: Queue
    id: JobId
    spec: JobSpec
    priority_index: int
    """1, 2, 3 for high, normal, low."""
    entry: str
    token: str
    """The fence: `<deliveries>:<nonce of the claim>`."""
    attempts: int
    """Earlier attempts."""
    deliveries: int
    """The number of deliveries, this one included."""
    crashes: int
    ready_at_ms: int
    claimed_at_ms: int
    last_error: JobError | None = None
    """Of the last failed attempt."""

    @property
    def key(self) -> tuple[JobId, str]:
        """The key that distinguishes this delivery from another of the same job, also within one worker."""
        return self.id, self.token


class Claim(Struct, frozen=True):
    """The result of one claim."""

    deliveries: list[Delivery]
    ask_again_ms: int = 0
    """Not 0 when the queue is paused or limited: it must not be read with a blocking call until then."""
    expired: int = 0
    """Jobs that had not started in time, and have expired by this claim."""


class ReadEntry(Struct, frozen=True):
    """An entry that a blocking read put into this consumer's hands, not yet claimed."""

    queue: Queue
    priority_index: int
    entry: str
    id: JobId


class Lease(Struct, frozen=True):
    """The arguments that renew one delivery."""

    id: JobId
    priority_index: int
    entry: str
    token: str
    progress: bytes = b""
    """Progress in MessagePack, or empty when there is nothing new."""


class LeaseCode(IntEnum):
    """The result for a lease. The numbers are those of renew.lua."""

    RENEWED = 1
    CANCEL_REQUESTED = 2
    LOST = -1


class Commit(Struct, frozen=True):
    """The outcome of one delivery on its way to Redis."""

    delivery: Delivery
    outcome: Outcome
    ttl_ms: int
    """How long the job can be read if this outcome ends it."""
    progress: Progress | None = None
    """The last progress of the handler, if no renewal has stored it."""
    log_lines: KeptLines | None = None
    """What its handler has logged last; None where none of it is kept."""
    coding: Coding = PLAIN
    """How its result is stored."""


class CommitCode(IntEnum):
    """The result for an outcome. The numbers are those of commit.lua and hand_back.lua."""

    COMMITTED = 1
    COMMITTED_BEFORE = 2
    CANCELLED = 3
    """Instead of a hand-back: the cancellation of the job had been asked for."""
    STALE = -1
    UNKNOWN_JOB = -2


class StackRequest(Struct, frozen=True):
    """A request to a worker for the stack of a handler, as ask_stack.lua sends it."""

    number: str
    """Under which the answer is stored."""
    job_id: JobId

    @classmethod
    def read(cls, message: str) -> "StackRequest | None":
        """Return the request of a message; None when that is the id of a job to be stopped."""
        match message.split(" "):
            case ["stack", number, job_id]:
                return cls(number, JobId(job_id))
        return None


class SignalCode(IntEnum):
    """The result for a signal. The numbers are those of signal.lua."""

    DELIVERED = 1
    """The job waited for it, and is ready."""
    KEPT = 2
    REPLAYED = 0
    ENDED = -1
    UNKNOWN_JOB = -2
    KEY_REUSED = -3
    TOO_MANY = -4


class ActionCode(IntEnum):
    """The result for an action on a job. The numbers are those of the scripts, from cancel.lua to ask_stack.lua."""

    DONE = 1
    REQUESTED = 2
    DONE_BEFORE = 0
    WRONG_STATE = -1
    UNKNOWN_JOB = -2
    CHANGED = -3
    """Of a job that gets another spec: it is no longer the one that was read."""
    UNIQUE_CONFLICT = -5
    """Of a job that is redriven: another one holds its unique key by now."""


class NewSpec(Struct, frozen=True):
    """A spec that takes the place of a job's own."""

    blob: bytes
    """A JobSpec in MessagePack, with a plain payload."""
    version: int
    """The version of the job of whose spec it was made."""
    coding: Coding = PLAIN
    """How its payload is stored."""


class ResolveCode(IntEnum):
    """The result for an edge. The numbers are those of resolve.lua."""

    READY = 1
    """It was the last one: the child is ready, or waits for its time."""
    NOTED = 0
    KEPT = 2
    """The child goes on waiting for this parent."""
    CANCELLED = 3
    """The child is cancelled by it."""
    DEAD = 4
    """The child is dead, because the parent is not known any more."""
    UNKNOWN_JOB = -2


class Edge(Struct, frozen=True):
    """What a blocked job is told of one of its parents."""

    child: JobId
    parent: JobId
    state: str
    """The state of the parent, or `unknown`."""


class News(Struct, frozen=True):
    """A job that has settled, and the blocked jobs that do not know it yet, a hundred at most."""

    id: JobId
    state: str
    """Or `unknown`, when the job is gone."""
    version: str
    children: list[JobId]
    flow: str = ""
    """What it is of a workflow or a batch, as :attr:`NodeRef.text`; empty for nothing."""
    result: bytes = b""
    """In MessagePack, when that workflow wants it; empty without one."""


class Told(Struct, frozen=True):
    """A blocked job that was told of its parent."""

    parent: JobId
    version: str
    """The one of the parent that was told."""
    child: JobId | None
    """None when a workflow or a batch was told."""
    is_kept: bool
    """Whether the child goes on waiting for this parent."""


class Blocked(Struct, frozen=True):
    """A blocked job and the parents that it is blocked by."""

    id: JobId
    parents: list[JobId]


class Release(Struct, frozen=True):
    """The result of one pass over the due jobs."""

    released: int
    expired: int
    next_in_ms: int | None
    """0 when more are due now, None when no job waits for a time."""


class Expiry(Struct, frozen=True):
    """The result of one pass over the unstarted jobs."""

    expired: int
    next_in_ms: int | None
    """0 when more are late now, None when no unstarted job has an expiry."""


class RecoveredJob(Struct, frozen=True):
    """A delivery that was recovered because its lease ran out."""

    id: JobId
    spec: JobSpec
    worker: str
    """Name of the worker that had the job; empty when the job was read and not claimed."""
    delivery: int
    """Number of the delivery; 0 when the job was read and not claimed."""
    crash_charged: bool
    """False when the handler had not begun."""


class Recovery(Struct, frozen=True):
    """The result of one pass over the expired leases."""

    cursors: tuple[str, str, str]
    """Where the next call goes on in each stream; empty for a stream of which all has been looked at."""
    requeued: list[RecoveredJob]
    buried: list[RecoveredJob]
    strays: int
    """Entries without a job behind them."""
    cancelled: int
    """Jobs that are cancelled now, as had been asked for while their workers lived."""


class KeyCounts(Struct, frozen=True):
    """How the keys of a queue with limits stand."""

    lanes: int
    """Lanes in which jobs wait for their turn; a key has one for each priority of which it has jobs."""
    full: int
    """Keys of which as many jobs run as may."""
    rate_limited: int
    """Keys whose rate is spent, until it lets one more start; some may have no job that waits."""


class Depths(Struct, frozen=True):
    """The counts of a queue."""

    queued: tuple[int, int, int]
    """Ready jobs in the order of `keys.PRIORITIES`."""
    running: int
    scheduled: int
    dead: int
    paused: bool
    oldest_ready_age_ms: int
    oldest_dead_age_ms: int
    events: int
    next_due_in_ms: int | None = None
    """0 when a job is due now, None when no job waits for a time."""
    next_expiry_in_ms: int | None = None
    """0 when a job is late now, None when no unstarted job has an expiry."""
    due_soon: int = 0
    """Jobs of `scheduled` that are due already, or within the time that was asked about."""
    blocked: int = 0
    outbox: int = 0
    """Jobs that have settled, and whose children have to be told."""
    oldest_news_age_ms: int = 0
    """How long ago the first of them has settled."""
    next_news_in_ms: int | None = None
    """0 when there is something to tell now, None when there is nothing."""
    next_link_in_ms: int | None = None
    """0 when a blocked job has to be looked at now, None when none is blocked."""
    parked: int = 0
    """Jobs of `queued` that a limit holds back."""
    unstartable: int = 0
    """Those of them that would wait also for idle workers."""
    breaker: BreakerState | None = None
    """None without a circuit breaker."""
    breaker_opened: int = 0
    """How often it has opened."""
    keys: "KeyCounts | None" = None
    """None without limits."""
    held_until_ms: int | None = None
    """Up to when a handler holds the queue back; None when none does."""

    @property
    def is_quiet(self) -> bool:
        """Whether no job waits, runs, or is dead, and nothing holds the queue back."""
        jobs = sum(self.queued) + self.running + self.scheduled + self.dead + self.blocked + self.outbox
        is_set_apart = self.paused or self.held_until_ms is not None or self.breaker not in {None, BreakerState.CLOSED}
        return not jobs and not is_set_apart

    def queued_of(self, priority: Priority) -> int:
        """Return how many jobs of a priority are ready."""
        return self.queued[PRIORITIES.index(priority)]
