"""The payload of the chaos suite's jobs."""

import msgspec

SPLIT_PARTITIONS = 3
"""Of the type whose limit is split between them."""

GATHERED = 5
"""The most jobs of a call of the batch handler."""


class Task(msgspec.Struct, frozen=True):
    """The payload of most handlers."""

    key: str
    """The submitter's name of the job, which is also its Idempotency-Key."""
    seconds: float = 0.0
    times: int = 0
    """How often the job fails or snoozes first; of a misdeed, its number."""
