"""The refusal of a submission for a queue, or a key, that has as many jobs as its cap allows."""

import random

from millstream_contracts import JobType
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import BACKLOG_FULL, KEY_BACKLOG_FULL, ProblemKind
from millstream_streams import EnqueueCode, Enqueued

MOST_S = 60
_SPREAD = (0.8, 1.2)
"""So that all that were turned away do not come back together."""


_KINDS: dict[EnqueueCode, tuple[str, ProblemKind, str]] = {
    EnqueueCode.FULL: ("backlog", BACKLOG_FULL, "has as many jobs as its cap allows"),
    EnqueueCode.KEY_FULL: ("key-backlog", KEY_BACKLOG_FULL, "has as many jobs of this key as its cap allows"),
}


def reason_of(code: EnqueueCode) -> str | None:
    """Return the reason by which metrics count a refusal for the sake of others; None for anything else."""
    return _KINDS[code][0] if code in _KINDS else None


def backlog_full(job_type: JobType, enqueued: Enqueued) -> IngestError:
    """Return the refusal, with the seconds after which there may be room."""
    _, kind, told = _KINDS[enqueued.code]
    after_s = (enqueued.retry_after_ms or 0) / 1000 * random.uniform(*_SPREAD)
    whole_s = min(MOST_S, max(1, round(after_s)))
    return IngestError(kind, f"`{job_type}` {told}; there may be room in {whole_s} s", retry_after_s=whole_s)
