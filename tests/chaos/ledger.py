"""The submitter's record: every request that it sent, and every response that it got."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct, field

from millstream_contracts import DEFAULT_TENANT, Tenant

# Answers that say for certain that nothing was stored. A 503 of another kind leaves it open.
_CERTAIN_REFUSALS = {"store-full", "overloaded"}


class Verdict(StrEnum):
    """The result of a submission."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """There may be a job or not: a response was lost, or said so."""


class Answer(Struct, frozen=True):
    """The result of one request."""

    at_ms: int
    """The time of sending, Unix ms."""
    seconds: float
    """The time until the response."""
    status: int = 0
    """The HTTP status; 0 without a response."""
    id: str = ""
    problem: str = ""
    """Slug of the problem, when it was refused."""
    retry_after_s: float = 0.0
    pid: int = 0
    """The process that was asked."""
    key_id: str = ""
    """The id of the API key that was sent; empty without one."""

    @property
    def is_accepted(self) -> bool:
        """Return whether the response promised the job."""
        return 200 <= self.status < 300

    @property
    def is_certain_refusal(self) -> bool:
        """Return whether the response says that nothing was stored."""
        return 400 <= self.status < 500 or (self.status == 503 and self.problem in _CERTAIN_REFUSALS)


class Entry(Struct):
    """One submission: a key, and all requests with it."""

    key: str
    """Idempotency-Key, and the name of the job in its payload."""
    type: str
    delay_s: float = 0.0
    """How far ahead it was scheduled."""
    after: tuple[str, ...] = ()
    """Ids of the jobs that it waits for."""
    tenant: Tenant = DEFAULT_TENANT
    sent: int = 0
    answers: list[Answer] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """Return the jobs that were promised, which must be one."""
        return {answer.id for answer in self.answers if answer.is_accepted}

    @property
    def verdict(self) -> Verdict:
        """Return the result of the submission."""
        if self.ids:
            return Verdict.ACCEPTED
        if self.sent == len(self.answers) and all(answer.is_certain_refusal for answer in self.answers):
            return Verdict.REFUSED
        return Verdict.UNKNOWN


class Ledger:
    """All submissions of a run."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = list(entries)

    def open(
        self,
        key: str,
        job_type: str,
        delay_s: float = 0.0,
        after: tuple[str, ...] = (),
        tenant: Tenant = DEFAULT_TENANT,
    ) -> Entry:
        """Begin a submission."""
        entry = Entry(key, job_type, delay_s, after, tenant)
        self.entries.append(entry)
        return entry

    def count(self, verdict: Verdict) -> int:
        """Return how many submissions had this result."""
        return sum(entry.verdict is verdict for entry in self.entries)

    def answers(self, status: int) -> list[Answer]:
        """Return all responses of a status."""
        return [answer for entry in self.entries for answer in entry.answers if answer.status == status]

    @property
    def accepted_ids(self) -> list[str]:
        """Return every job that was promised."""
        return [job_id for entry in self.entries for job_id in entry.ids]
