"""The payload of the chaos suite's jobs."""

import msgspec


class Task(msgspec.Struct, frozen=True):
    """The payload of most handlers."""

    key: str
    """The submitter's name of the job, which is also its Idempotency-Key."""
    seconds: float = 0.0
    times: int = 0
    """How often the job fails or snoozes first; of a misdeed, its number."""
