"""How a durable handler leaves its worker while it waits."""

from millstream_contracts import JobId


class Suspended(BaseException):
    """The job goes on later, from the step that waits. A BaseException, so that `except Exception` does not hold it."""

    def __init__(self, after_ms: int = 0, signal: str = "", jobs: tuple[JobId, ...] = ()) -> None:
        """`after_ms` is when at the latest, `signal` what it waits for until then, `jobs` those that it has called."""
        self.after_ms = after_ms
        self.signal = signal
        self.jobs = jobs
        super().__init__("the job goes on later")
