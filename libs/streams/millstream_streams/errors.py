"""Errors of the Redis layer.

StoreError
├── StoreUnavailableError   Redis does not answer, is loading, failing over or read-only, or refuses: try again later
│   ├── WrongServerError    what listens there can never be the Redis that was meant
│   ├── StoreFullError      Redis is at its `maxmemory` and refuses to store more
│   ├── StoreBusyError      Redis may be well: all connections to it are in use
│   ├── MissingRightError   the user of Redis may not do what was asked for
│   └── NotDurableError     stored, but not confirmed as durably as was asked for
├── UnsuitableRedisError    this Redis must not be used: too old, or it evicts keys, or it is no such Redis at all
├── RedisUrlError           the URL of Redis cannot be read
├── RedisTlsError           a certificate or key for Redis cannot be used
└── CursorError             a cursor that this list did not give out

The text of each is one line without a secret, and each has a `reason`.
"""

from typing import Literal

from millstream_contracts import ForeseenError, JobId

Reason = Literal["away", "refused", "full"]
"""Why Redis cannot be used: see :class:`StoreUnavailableError`."""


class StoreError(ForeseenError):
    """Any failure between the process and Redis."""

    reason: Reason = "refused"


class StoreUnavailableError(StoreError):
    """Redis does not respond now; the same call may succeed later."""

    others_may_answer = False
    """Whether only one node of a cluster is away, so that calls for other queues may succeed now."""

    def __init__(self, message: str, reason: Reason = "away") -> None:
        """Take the reason, one of these words.

        `away`: Redis does not respond, or cannot serve yet; that passes by itself. `refused`: the server refuses us
        until a setting is changed on either side. `full`: it has no memory left.
        """
        self.reason = reason
        super().__init__(message)


class WrongServerError(StoreUnavailableError):
    """The server can never be the intended Redis: it speaks another protocol, or lacks the database."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "refused")


class StoreFullError(StoreUnavailableError):
    """Redis is at its `maxmemory` and refuses to store more."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "full")


class StoreBusyError(StoreUnavailableError):
    """All connections to Redis are in use by other calls, and have been for seconds."""


class MissingRightError(StoreUnavailableError):
    """The user of Redis lacks a right; it may be granted while services run."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "refused")


class NotDurableError(StoreUnavailableError):
    """The job is stored by the primary, but not confirmed as durably as the submission asked."""

    def __init__(self, message: str, not_stored: frozenset[JobId] = frozenset()) -> None:
        self.not_stored = not_stored
        """The jobs of the call that are known not to be stored, because an earlier request had the same key."""
        super().__init__(message)


class UnsuitableRedisError(StoreError):
    """This Redis must not be used, because jobs would get lost on it, or it is no Redis."""


class RedisUrlError(StoreError):
    """The URL of Redis cannot be read."""


class RedisTlsError(StoreError):
    """A certificate or key for Redis cannot be used."""

    def __init__(self, field: str, why: str) -> None:
        self.field = field
        """The field of `TlsFiles`."""
        self.why = why
        super().__init__(f"the {field.removesuffix('_file')} file for Redis {why}")


class CursorError(StoreError):
    """A cursor that this list did not give out."""
