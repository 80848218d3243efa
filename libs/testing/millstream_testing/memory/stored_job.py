"""One job as the ledger keeps it: what Redis has in the hash of the job."""

from collections.abc import Iterator
from urllib.parse import quote

from msgspec import Struct

from millstream_contracts import AfterFailure, JobId, JobState, Priority, Queue, StoredStep
from millstream_streams import NodeRef, UniqueKey

NIL = b"\xc0"


class StoredJob(Struct, kw_only=True):
    """One job. The fields are those of the hash in Redis, with their values as Python has them."""

    id: JobId
    queue: Queue
    spec: bytes
    """A JobSpec in MessagePack."""
    priority: Priority
    key: str = ""
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
    steps: dict[str, StoredStep] = {}
    """What its durable handler has kept."""
    signals: list[tuple[str, bytes]] = []
    """Names and payloads of those that no wait has taken yet."""
    waiting_for: str = ""
    """The signal that it waits for."""
    node: NodeRef | None = None
    """What it is of a workflow."""
    calls: bool = False
    """Whether its handler has called the jobs that block it."""
    waits_for_ever: bool = False
    """Whether only that moves it."""
    in_batch: bool = False
    """Whether a handler has submitted it as a member of the batch of its job."""
    unique: UniqueKey | None = None
    key_taken_at: int = 0
    """Its deliveries when it took its unique key."""
    held_until_ms: int | None = None
    """Until when it holds the key, with the scope `window`."""
    asked_delay_ms: int | None = None
    """The delay that the submission asked for."""

    def fields(self) -> dict[bytes, bytes]:
        """Return the hash that Redis would hold, for the readers of such hashes."""
        return {name.encode(): value for name, value in self._texts() if value}

    def _texts(self) -> Iterator[tuple[str, bytes]]:
        yield "state", self.state.encode()
        yield "spec", self.spec
        yield "priority", self.priority.encode()
        yield "lane", quote(self.key, safe="").encode()
        yield "worker", self.worker.encode()
        yield "progress", self.progress
        yield "error", self.error
        yield "reason", self.reason.encode()
        yield "after", ",".join(self.after).encode()
        yield "after_failure", self.after_failure.encode() if self.after_failure != "wait" else b""
        yield "waiting_for", self.waiting_for.encode()
        yield "because_of", self.because_of.encode()
        yield "flow", self.node.text.encode() if self.node else b""
        yield "unique", self._unique()
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

    def _unique(self) -> bytes:
        if self.unique is None:
            return b""
        head = f"{self.unique.scope} {self.unique.digest} {self.key_taken_at} {self.held_until_ms or 0}"
        return f"{head} {quote(self.unique.text, safe='')}".encode()
