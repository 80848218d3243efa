"""The payload of the chaos suite's jobs."""

import msgspec


class Task(msgspec.Struct, frozen=True):
    """The payload of most handlers."""

    key: str
    """What the submitter calls the job; also its Idempotency-Key."""
    seconds: float = 0.0
    times: int = 0
    """How often it fails or snoozes first; of a misdeed, which one."""
