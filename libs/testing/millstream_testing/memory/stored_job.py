"""One job as the ledger keeps it: what Redis has in the hash of the job."""

from collections.abc import Iterator

from msgspec import Struct

from millstream_contracts import AfterFailure, JobId, JobState, Priority, Queue

NIL = b"\xc0"


class StoredJob(Struct, kw_only=True):
    """One job. The fields are those of the hash in Redis, with their values as Python has them."""

    id: JobId
    queue: Queue
    spec: bytes
    """A JobSpec in MessagePack."""
    priority: Priority
    state: JobState = JobState.QUEUED
    version: int = 0
    attempts: int = 0
    deliveries: int = 0
    crashes: int = 0
    handbacks: int = 0
    entry: int = 0
    """The place in the order in which jobs of one priority became ready."""
    ready_at_ms: int = 0
    run_at_ms: int | None = None
    expires_at_ms: int | None = None
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    forget_at_ms: int | None = None
    """The time from which on the job cannot be read any more."""
    worker: str = ""
    token: str = ""
    done_token: str = ""
    """The token of the last delivery that was committed or handed back."""
    cancel_asked_at_ms: int | None = None
    progress: bytes = b""
    result: bytes = NIL
    error: bytes = b""
    reason: str = ""
    after: tuple[JobId, ...] = ()
    """The jobs that it waits for, or has waited for."""
    open_parents: set[JobId] = set()
    """Those of them that block it."""
    after_failure: AfterFailure = "wait"
    because_of: str = ""
    delay_ms: int | None = None
    """The delay that begins when it is blocked no more."""
    parent: JobId | None = None
    """The job whose handler has submitted this one."""
    asked_delay_ms: int | None = None
    """The delay that the submission asked for."""

    def fields(self) -> dict[bytes, bytes]:
        """Return the hash that Redis would hold, for the readers of such hashes."""
        return {name.encode(): value for name, value in self._texts() if value}

    def _texts(self) -> Iterator[tuple[str, bytes]]:
        yield "state", self.state.encode()
        yield "spec", self.spec
        yield "priority", self.priority.encode()
        yield "worker", self.worker.encode()
        yield "progress", self.progress
        yield "error", self.error
        yield "reason", self.reason.encode()
        yield "after", ",".join(self.after).encode()
        yield "after_failure", self.after_failure.encode() if self.after_failure != "wait" else b""
        yield "because_of", self.because_of.encode()
        yield "result", b"" if self.result == NIL else self.result
        for name, number in (
            ("version", self.version),
            ("attempts", self.attempts),
            ("deliveries", self.deliveries),
            ("crashes", self.crashes),
            ("handbacks", self.handbacks),
            ("run_at", self.run_at_ms),
            ("expires_at", self.expires_at_ms),
            ("started_at", self.started_at_ms),
            ("finished_at", self.finished_at_ms),
            ("cancel", self.cancel_asked_at_ms),
        ):
            yield name, b"" if number is None else str(number).encode()
