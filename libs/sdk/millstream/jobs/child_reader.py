"""What a handle on a child of a running handler asks: nothing, for a handler that waits holds its slot."""

from typing import NoReturn

from millstream.errors import NotBoundError


class ChildReader:
    """Stands for a client, in handles for handlers on the event loop and in those for threads."""

    def result(self, job_id: str, _timeout: float = 0.0, /) -> NoReturn:
        """Raise NotBoundError."""
        raise _unfollowed(job_id)

    def get(self, job_id: str, /) -> NoReturn:
        """Raise NotBoundError."""
        raise _unfollowed(job_id)

    def stack(self, job_id: str, /) -> NoReturn:
        """Raise NotBoundError."""
        raise _unfollowed(job_id)

    def cancel(self, job_id: str, /) -> NoReturn:
        """Raise NotBoundError."""
        raise _unfollowed(job_id)


def _unfollowed(job_id: str) -> NotBoundError:
    return NotBoundError(f"a handler does not follow its children: {job_id} is read through a client")
