"""The records of what a run has done to tenants: their keys, their suspensions and deletions, and the audit trail."""

from chaos.effects import Effect
from chaos.ledger import Ledger
from msgspec import Struct, field

from millstream_contracts import AuditRecord, Tenant

NEVER = float("inf")


class KeyLife(Struct):
    """An API key, and from when to when it works. Unix ms."""

    id: str
    text: str
    tenant: Tenant
    born_ms: int
    """When the request that made it was answered."""
    ending_ms: float = NEVER
    """The first time at which it may work no longer."""
    ended_ms: float = NEVER
    """When its end was certain: it works for a while yet, because ingest holds keys in memory."""

    @property
    def is_live(self) -> bool:
        """Return whether nothing has been done to end the key."""
        return self.ending_ms == NEVER


class KeyUse(Struct, frozen=True):
    """A request with a key, and how it was answered."""

    key_id: str
    at_ms: int
    """When it was sent."""
    answered_ms: float
    status: int
    problem: str = ""
    job: str = ""
    """The job of another tenant that was asked for; empty for any other request."""

    @property
    def is_taken(self) -> bool:
        """Return whether the key was taken for one that works, whatever became of the request."""
        return self.status not in {0, 401, 429, 500, 503} or self.problem == "tenant-backlog-full"


class Suspension(Struct):
    """A time in which a tenant is suspended. Unix ms."""

    tenant: Tenant
    answered_ms: float = NEVER
    resuming_ms: float = NEVER
    """When the end of it was asked for first."""


class Deletion(Struct):
    """A tenant that is deleted, with what there was of it."""

    tenant: Tenant
    answered_ms: float = NEVER
    is_done: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    """Its submissions, apart from those whose jobs have to be there at the end."""
    effects: list[Effect] = field(default_factory=list)
    """What its handlers have done."""


class Change(Struct):
    """A request that changes something, of which the audit trail has to tell."""

    request_id: str
    line: str
    """Method and path."""
    tenant: Tenant
    """Of the key that asks, whose trail has the record."""
    at_ms: int
    status: int = 0
    """The HTTP status; 0 without a response."""
    answered_ms: float = NEVER


class Tenancy(Struct):
    """All of it."""

    keys: dict[str, KeyLife] = field(default_factory=dict)
    uses: list[KeyUse] = field(default_factory=list)
    suspensions: list[Suspension] = field(default_factory=list)
    deletion: Deletion | None = None
    changes: list[Change] = field(default_factory=list)
    trail: list[AuditRecord] = field(default_factory=list)
    """The records that the history holds at the end."""
    begun: list[str] = field(default_factory=list)
    """The requests of which Redis knows the begin alone: a dispatcher tells of them ten minutes after it."""
    faults: list[str] = field(default_factory=list)
    """What the verification of the chains has found, in words."""
    verified: int = 0
    """How many records it has read."""

    def keys_of(self, tenant: Tenant) -> list[KeyLife]:
        """Return the keys of a tenant that work."""
        return [key for key in self.keys.values() if key.tenant == tenant and key.is_live]

    def set_apart(self, effects: dict[str, list[Effect]]) -> set[str]:
        """Take what handlers of a deleted tenant did out of the effects by job. Returns: its jobs."""
        if self.deletion is None:
            return set()
        names = {entry.key for entry in self.deletion.ledger.entries}
        jobs = {job for job, some in effects.items() if some[0].key.rpartition(" ")[2] in names}
        self.deletion.effects = [effect for job in sorted(jobs) for effect in effects.pop(job)]
        return jobs
