"""The model of unique keys beside the one of jobs: which job holds a key, and what a submission of another leads to."""

from msgspec import Struct
from streams.model import Expected

from millstream_contracts import JobId, UniqueScope
from millstream_streams import ActionCode, EnqueueCode, UniqueKey

ENDED = {"succeeded", "dead", "cancelled", "expired"}
WINDOW_MS = 3_600_000
"""The window of a key: it does not end within a test, unless the test ends it."""


class Claim(Struct):
    """What a job has taken."""

    digest: str
    scope: UniqueScope
    taken_at: int = 0
    """Its deliveries when it took the key."""
    is_over: bool = False
    """Whether its window has ended."""


class UniqueModel(Struct):
    """The claims of all jobs that were stored with a unique key."""

    jobs: dict[JobId, Expected]
    """Those of the machine."""
    claims: dict[JobId, Claim] = {}

    def holds(self, job_id: JobId) -> bool:
        """Return whether a job holds its key, by the rules of docs/unique.md."""
        claim, job = self.claims.get(job_id), self.jobs.get(job_id)
        if claim is None or job is None or job.state in ENDED - {"succeeded"}:
            return False
        if claim.scope == "window":
            return not claim.is_over
        if job.state == "succeeded":
            return False
        return claim.scope == "running" or job.deliveries == claim.taken_at

    def holder_of(self, digest: str) -> JobId | None:
        """Return the job that holds a key."""
        found = [one for one, claim in self.claims.items() if claim.digest == digest and self.holds(one)]
        assert len(found) < 2, f"the model lets {found} hold one key"
        return found[0] if found else None

    def holders(self, scope: UniqueScope) -> list[JobId]:
        """Return the jobs that hold a key in such a way."""
        return [one for one, claim in self.claims.items() if claim.scope == scope and self.holds(one)]

    def submit(self, job_id: JobId, unique: UniqueKey) -> tuple[EnqueueCode, JobId, JobId | None]:
        """Apply what becomes of a submission to claims and to the job in its way; return code, job and replaced job."""
        holder, replaced = self.holder_of(unique.digest), None
        if holder is not None and unique.on_conflict == "return":
            return EnqueueCode.RETURNED, holder, None
        if holder is not None:
            job = self.jobs[holder]
            has_started = job.deliveries != self.claims[holder].taken_at
            if unique.on_conflict == "reject" or has_started or job.state not in {"queued", "scheduled", "blocked"}:
                return EnqueueCode.UNIQUE_CONFLICT, holder, None
            job.state, job.reader, job.is_due, job.open = "cancelled", "", False, set()
            replaced = holder
        self.claims[job_id] = Claim(unique.digest, unique.scope)
        return EnqueueCode.STORED, job_id, replaced

    def redrive(self, job_id: JobId) -> ActionCode:
        """Have a dead job take its key again; return what its redrive answers."""
        claim = self.claims.get(job_id)
        if claim is None or claim.is_over:
            return ActionCode.DONE
        if self.holder_of(claim.digest) is not None:
            return ActionCode.UNIQUE_CONFLICT
        claim.taken_at = self.jobs[job_id].deliveries
        return ActionCode.DONE
