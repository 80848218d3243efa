"""What handles on children ask in threads: what those on an event loop ask, and the thread waits for the answer."""

from functools import partial
from typing import Any, NoReturn

from millstream.errors import NotBoundError
from millstream.jobs.submitter import ParentJob
from millstream_contracts import Job, JobStack, SignalReceipt


class BlockingReader:
    """Asks the parent of the children."""

    def __init__(self, parent: ParentJob) -> None:
        self._parent = parent

    def result(self, job_id: str, timeout: float = 30.0, /) -> Any:
        """Return a job's result, waiting for it. Raises: as `Parent.result`."""
        return self._parent.run_blocking(partial(self._parent.result, job_id, timeout))

    def get(self, job_id: str, /) -> Job:
        """Return a job. Raises: as `Parent.get`."""
        return self._parent.run_blocking(partial(self._parent.get, job_id))

    def stack(self, job_id: str, /) -> JobStack:
        """Return where the handler of a job is. Raises: as `Parent.stack`."""
        return self._parent.run_blocking(partial(self._parent.stack, job_id))

    def signal(
        self, job_id: str, signal: Any, payload: Any = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt:
        """Raise NotBoundError, as `Parent.signal`."""
        return self._parent.run_blocking(
            partial(self._parent.signal, job_id, signal, payload, idempotency_key=idempotency_key)
        )

    def updates(self, job_id: str, /) -> NoReturn:
        """Raise NotBoundError, as `Parent.updates`."""
        raise NotBoundError(f"a handler does not follow {job_id}: wait for its result, or ask a client")

    def cancel(self, job_id: str, /) -> Job:
        """Cancel a job. Raises: as `Parent.cancel`."""
        return self._parent.run_blocking(partial(self._parent.cancel, job_id))
