"""The evidence of a run: requests and responses, effects, the contents of Redis, and the faults."""

from chaos.counters import Counters
from chaos.effects import Effect
from chaos.journal import Fault
from chaos.ledger import Ledger
from chaos.tenancy import Tenancy
from msgspec import Struct, field

from millstream_contracts import DEFAULT_TENANT, EventKind, Tenant


class Step(Struct, frozen=True):
    """One transition of one job, from the event stream."""

    id: str
    version: int
    kind: EventKind
    state: str
    deliveries: int
    worker: str
    at_ms: int
    detail: str = ""

    @property
    def pid(self) -> int:
        """Return the process id of the worker, or 0."""
        return int(self.worker.split(":")[1]) if self.worker else 0


class JobRecord(Struct, frozen=True, kw_only=True):
    """A job as its hash is at the end."""

    id: str
    type: str
    state: str
    tenant: Tenant = DEFAULT_TENANT
    key: str = ""
    """The submitter's name of the job."""
    attempts: int = 0
    max_attempts: int = 0
    crashes: int = 0
    deliveries: int = 0
    handbacks: int = 0
    done_token: str = ""
    reason: str = ""
    longest_pause_ms: int = 0
    """The longest time that the job may be scheduled ahead: by a retry, a snooze, or its submission."""

    @property
    def done_fence(self) -> int:
        """Return the fence of the delivery that committed last, or 0."""
        return int(self.done_token.partition(":")[0] or 0)


class Refusal(Struct, frozen=True):
    """A refused commit, as the worker logged it."""

    job: str
    pid: int
    given_up: bool = False
    """Whether the worker made no attempt to commit, because it knew already that it had lost the lease."""


class HistoryRecords(Struct, frozen=True):
    """The contents of the history database at the end."""

    steps: list[tuple[str, int, str, str]]
    """Job, version, kind and state of each transition."""
    states: dict[str, str]
    """The state of each job."""


class Evidence(Struct, kw_only=True):
    """All evidence of one run."""

    ledger: Ledger
    effects: dict[str, list[Effect]] = field(default_factory=dict)
    """The effects by job, oldest first."""
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    """The transitions by job, in the order of their versions."""
    faults: list[Fault] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    services: dict[int, str] = field(default_factory=dict)
    """The service of each process."""
    misplaced: list[str] = field(default_factory=list)
    """The findings of the audit of the queues."""
    unrest: list[str] = field(default_factory=list)
    """What is still under way although nothing should be, and services that ended wrongly."""
    counters: dict[int, Counters] = field(default_factory=dict)
    """The metrics of processes once all had come to rest."""
    history: HistoryRecords | None = None
    """What the history holds, in a scenario that has one."""
    tenancy: Tenancy = field(default_factory=Tenancy)
    lease_ms: int = 3_000
    pass_ms: int = 500
    """The time from one pass of a duty to the next."""
    slots: int = 60
    """The slots of all workers together."""
    max_crashes: int = 20

    @property
    def recovery_ms(self) -> int:
        """Return the time within which a lost worker's jobs are ready again: a lease and one pass of the reaper."""
        return self.lease_ms + self.pass_ms

    def runs_of(self, job_id: str, event: str) -> list[Effect]:
        """Return the effects of a job, of one kind."""
        return [effect for effect in self.effects.get(job_id, ()) if effect.event == event]

    def has_run(self, begun: Step) -> bool:
        """Return whether the handler of a delivery has begun."""
        return any(effect.fence == begun.deliveries for effect in self.runs_of(begun.id, "started"))
