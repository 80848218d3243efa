"""Errors of the Redis layer.

StoreError
├── StoreUnavailableError   Redis does not answer, is loading, failing over or read-only: try again later
│   ├── StoreFullError      Redis is at its `maxmemory` and refuses to store more
│   ├── MissingRightError   the user of Redis may not do what was asked for
│   └── NotDurableError     stored, but not confirmed as durably as was asked for
├── UnsuitableRedisError    this Redis must not be used: too old, or it evicts keys
├── RedisUrlError           the URL of Redis cannot be read
└── CursorError             a cursor that this list did not give out
"""


class StoreError(Exception):
    """Anything that goes wrong between us and Redis."""


class StoreUnavailableError(StoreError):
    """Redis does not answer now; the same call may succeed later."""

    others_may_answer = False
    """Whether it is one node of a cluster, so that calls for other queues may succeed now."""


class StoreFullError(StoreUnavailableError):
    """Redis is at its `maxmemory` and refuses to store more."""


class MissingRightError(StoreUnavailableError):
    """The user of Redis may not do what was asked for; rights are given while services run, so it may later."""


class NotDurableError(StoreUnavailableError):
    """Stored by the primary, but not confirmed as durably as was asked for."""


class UnsuitableRedisError(StoreError):
    """This Redis must not be used: jobs would get lost on it."""


class RedisUrlError(StoreError):
    """The URL of Redis cannot be read."""


class CursorError(StoreError):
    """A cursor that this list did not give out."""
