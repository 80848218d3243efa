"""Examples of batches for the API document."""

from datetime import UTC, datetime

from millstream_contracts import (
    BatchCallbackStatus,
    BatchEvent,
    BatchId,
    BatchMember,
    BatchMemberPage,
    BatchPage,
    BatchState,
    BatchStatus,
    JobId,
    MemberState,
)
from millstream_ingest.api.operation import Example

_BATCH = BatchStatus(
    id=BatchId("BA_0001KBCSZ4000ABCDEFGHJKMNP"),
    name="import",
    state=BatchState.OPEN,
    total=3,
    counts={MemberState.PENDING: 1, MemberState.SUCCEEDED: 1, MemberState.DEAD: 1},
    callbacks={
        BatchEvent.COMPLETE: BatchCallbackStatus(job=JobId("report.generate_000001KBCSZ4000ABCDEFGHJKM")),
    },
    created_at=datetime(2026, 11, 27, 2, 0, tzinfo=UTC),
    expires_at=datetime(2026, 12, 4, 2, 0, tzinfo=UTC),
)
_REPORT = {"type": "report.generate", "payload": {"name": "import", "rows": [{"city": "Oslo", "sold": 3}]}}

SUBMISSIONS = {
    "jobs": Example(
        "Two jobs, and a report once both have settled",
        {"name": "import", "jobs": [{"type": "demo.flaky"}, {"type": "demo.delayed"}], "on_complete": _REPORT},
    ),
    "open": Example(
        "One that takes jobs for an hour at most",
        {"name": "import", "open": True, "expires_in_s": 3600, "on_success": _REPORT, "on_death": _REPORT},
    ),
}
STATUS = {"open": Example("An open batch", _BATCH)}
BATCHES = {"page": Example("One batch", BatchPage(items=[_BATCH]))}
MEMBERS = {
    "dead": Example(
        "The one that is dead",
        BatchMemberPage(
            items=[BatchMember(job=JobId("demo.flaky_000001KBCSZ4000ABCDEFGHJKN"), state=MemberState.DEAD)]
        ),
    )
}
