"""Makes of what is stored of a batch what the API shows."""

from millstream_contracts import BatchCallbackStatus, BatchEvent, BatchMember, BatchState, BatchStatus, JobId, moment
from millstream_streams import Member, StoredBatch
from millstream_telemetry import read_trace_context


def shown(stored: StoredBatch) -> BatchStatus:
    """Return a batch."""
    is_open = stored.state is BatchState.OPEN
    return BatchStatus(
        id=stored.id,
        name=stored.name,
        state=stored.state,
        total=stored.total,
        counts=stored.counts,
        callbacks={event: _shown_callback(stored, event, job_id) for event, job_id in stored.callbacks.items()},
        created_at=moment(stored.created_at_ms),
        expires_at=moment(stored.expires_at_ms) if is_open and stored.expires_at_ms else None,
        finished_at=moment(stored.finished_at_ms) if stored.finished_at_ms else None,
        retention_s=stored.retention_ms / 1000,
        reason=stored.reason or None,
        trace_id=read_trace_context(stored.trace, "").trace_id or None if stored.trace else None,
        submitted_by=stored.owner or None,
    )


def _shown_callback(stored: StoredBatch, event: BatchEvent, job_id: JobId) -> BatchCallbackStatus:
    fired, refused = event in stored.fired, stored.refused.get(event)
    submitted = fired and refused is None and event not in stored.starting
    return BatchCallbackStatus(job=job_id, fired=fired, submitted=submitted, reason=refused)


def shown_member(member: Member) -> BatchMember:
    """Return a member."""
    return BatchMember(job=member.job_id, state=member.state)
