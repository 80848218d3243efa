"""Translates errors of redis-py, and repeats calls while Redis is away.

Redis-py's own retries are off: from version 6 on it sends any command again after a broken connection, which applies an
XADD twice and strands the entries of an XREADGROUP. Here whole scripts are sent again, and each is idempotent by job id
or token.
"""

import random
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import anyio
from redis import exceptions as redis_errors

from millstream_contracts import one_line
from millstream_streams.connection.diagnosis import NotConnectedError, Verdict, causes, scrubbed
from millstream_streams.connection.refusals import refusal_behind
from millstream_streams.errors import (
    MissingRightError,
    NotDurableError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    WrongServerError,
)

T = TypeVar("T")

_UNAVAILABLE = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ClusterError,
    redis_errors.RedisClusterException,
    redis_errors.ReadOnlyError,
    redis_errors.AskError,
    redis_errors.TryAgainError,
    redis_errors.MasterDownError,
    # A protocol that is none of Redis, on a connection that was greeted: something in between speaks up.
    redis_errors.InvalidResponse,
    OSError,
)
REDIS_ERRORS = (redis_errors.RedisError, redis_errors.RedisClusterException, OSError)
"""The exceptions of redis-py. That of a cluster that is away is, unlike all others, no RedisError."""

# Errors that redis-py has no class for. Each of them passes, or is repaired, without a change on our side.
_PASSING_CODES = "NOREPLICAS|MISCONF|BUSY|LOADING|MASTERDOWN|CLUSTERDOWN|UNBLOCKED|READONLY|TRYAGAIN|DENIED|NOPERM"
# The error of a script that meets a hash which has moved on already, while its slot is moving.
_MOVING = "to access a non local key in a cluster node"
# Redis 6.2 wraps what fails inside of a script: "Error running script (...): @user_script:145: ... -OOM command ...".
_CODE = re.compile(rf"(?:^|: ?-?)(OOM|{_PASSING_CODES})\b")

_REFUSALS = (
    redis_errors.NoPermissionError,
    redis_errors.AuthenticationError,
    redis_errors.AuthorizationError,
    redis_errors.ReadOnlyError,
)
"""Errors that do not pass by themselves. A replica may become a primary, but an address may name one for ever."""

_CONFIRMING = {"wait", "waitaof"}

_A_CLUSTER_NODE = "it names a node of a cluster, which is written redis+cluster://"
_NO_CLUSTER_NODE = "it names no node of a cluster; one server is written redis://"
_A_SENTINEL = "it names a Sentinel, which is written redis+sentinel://, with the service"

_CLOSED = "Redis is not available: the connection was closed meanwhile"

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 5.0


class RedisObserver(Protocol):
    """Counts calls to Redis and their failures. The metrics of the telemetry package are one."""

    def observe_call(self, script: str, seconds: float) -> None:
        """Record the time of a script call, as its caller saw it."""
        ...

    def count_reconnect(self) -> None:
        """Count a call that failed because Redis was away; the next one will connect anew."""
        ...


class NoObserver:
    """Counts nothing."""

    def observe_call(self, script: str, seconds: float) -> None:
        """Do nothing."""

    def count_reconnect(self) -> None:
        """Do nothing."""


def translate(error: Exception) -> StoreError | None:
    """Return our error for an exception of redis-py, or None when it is a defect of ours."""
    text = str(error)
    found = _CODE.search(text)
    code = found[1] if found else ""
    if (known := _of_limits(error, text, code) or _of_rights(error) or _of_address(error)) is not None:
        return known
    if isinstance(error, _REFUSALS) or code in {"READONLY", "NOPERM", "DENIED"}:
        return StoreUnavailableError(f"Redis refuses: {scrubbed(text)}", "refused")
    if isinstance(error, _UNAVAILABLE) or code or _MOVING in text:
        # The text of the error only: redis-py may put a failed command's arguments, so a payload, into others.
        return StoreUnavailableError(f"Redis is not available: {type(error).__name__}: {one_line(text, 200)}")
    return None


def _of_limits(error: Exception, text: str, code: str) -> StoreError | None:
    """Return the error for a healthy server that cannot do something, if the exception says that."""
    if "WAITAOF" in text:
        return NotDurableError("this server cannot say what is on its disk: it is older than 7.2 or has no AOF")
    if isinstance(error, redis_errors.MaxConnectionsError):
        return StoreBusyError("all connections to a node of the cluster are in use")
    if isinstance(error, redis_errors.OutOfMemoryError) or code == "OOM":
        return StoreFullError("Redis is at its maxmemory and refuses to store more")
    return None


def _of_rights(error: Exception) -> StoreUnavailableError | None:
    """Return the error for a missing right, which may be granted later, if the exception says that."""
    refusal = refusal_behind(error)
    if refusal is None:
        return None
    if refusal.command in _CONFIRMING:
        return NotDurableError(f"the user of Redis lacks {refusal}, so nothing can be confirmed")
    whose = "the user of the Sentinels" if refusal.command.startswith("sentinel") else "the user of Redis"
    return MissingRightError(f"{whose} lacks {refusal}")


def _of_address(error: Exception) -> StoreUnavailableError | None:
    """Return the error for a wrong address, if the exception says that."""
    if isinstance(error, redis_errors.MovedError):  # the client of a cluster follows it
        return WrongServerError(_wrong(_A_CLUSTER_NODE))
    if failure := not_connected(error):
        return of_failure(failure)
    for cause in causes(error):
        if "cluster support disabled" in str(cause):
            return WrongServerError(_wrong(_NO_CLUSTER_NODE))
        if isinstance(cause, redis_errors.NoPermissionError):
            return StoreUnavailableError(f"Redis refuses: {scrubbed(str(cause))}", "refused")
    return None


def not_connected(error: Exception) -> NotConnectedError | None:
    """Return the failure to connect that is behind an error.

    The client of a cluster puts that of the last node that it has tried behind an error of its own.
    """
    return next((cause for cause in causes(error) if isinstance(cause, NotConnectedError)), None)


def of_failure(error: NotConnectedError) -> StoreUnavailableError:
    """Return our error for a failure to connect."""
    match error.diagnosis.verdict:
        case Verdict.WRONG:
            return WrongServerError(_wrong(str(error)))
        case Verdict.REFUSED:
            return StoreUnavailableError(f"Redis refuses: {error}", "refused")
        case Verdict.AWAY:
            return StoreUnavailableError(f"Redis is not available: {error}")


def _wrong(why: str) -> str:
    return f"the address of Redis is wrong: {why}"


def require_mode(found: str, meant: str) -> None:
    """Refuse a server whose mode is another than its address says. Raises: WrongServerError."""
    if found == "sentinel":
        raise WrongServerError(_wrong(_A_SENTINEL))
    if found == "cluster" and meant != "cluster":
        raise WrongServerError(_wrong(_A_CLUSTER_NODE))


def is_of_replica(error: Exception) -> bool:
    """Return whether an error says that the server has become a replica.

    After a failover behind one address, as in managed services and Kubernetes, the old primary may stay up, and a
    client that keeps its connection would use it for ever. Redis-py closes it with Sentinel only.
    """
    # In the text, where Redis 6.2 wraps what fails inside of a script.
    return isinstance(error, redis_errors.ReadOnlyError | redis_errors.MasterDownError) or "READONLY" in str(error)


def backoff_s(failures: int) -> float:
    """Return how long to wait after this many failures in a row (1 or more), with full jitter."""
    bound: float = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 16))
    return random.uniform(bound / 10, bound)


def failed(what: str, error: Exception) -> StoreError:
    """Return our error for a call that cannot be made, such as on a key that another program wrote.

    It has the code of Redis alone: redis-py may put a failed command's arguments, so a payload, into the text.
    """
    return StoreError(f"{what}: {str(error).partition(' ')[0]}")


async def translating(call: Callable[[], Awaitable[T]]) -> T:
    """Make one call. Raises: StoreError for errors of redis-py; any other error goes through."""
    try:
        return await call()
    except AttributeError as error:
        # redis-py's cluster client closes all connections when one node fails, also those that others are just
        # using: they then find no stream to write to (8.1.0).
        if error.obj is None and error.name in {"writelines", "drain", "write"}:
            raise StoreUnavailableError(_CLOSED) from error
        raise
    except RuntimeError as error:
        # uvloop's answer to a write on a connection that the other end has reset; redis-py does not know it (8.1.0).
        if "the handler is closed" in str(error):
            raise StoreUnavailableError(_CLOSED) from error
        raise
    except REDIS_ERRORS as error:
        meaning = translate(error)
        if meaning is None:
            raise
        raise meaning from error


async def with_retries(call: Callable[[int], Awaitable[T]], patience_s: float, on_fault: Callable[[], None]) -> T:
    """Make a call, and repeat it while Redis is away, for about `patience_s`.

    `call` gets the number of earlier failures. Raises: StoreUnavailableError once patience has run out; StoreFullError
    and NotDurableError at once, because a wait helps with neither.
    """
    give_up_at = time.monotonic() + patience_s
    failures = 0
    while True:
        try:
            return await translating(partial(call, failures))
        except (StoreFullError, NotDurableError):
            raise
        except StoreUnavailableError:
            failures += 1
            on_fault()
            delay_s = backoff_s(failures)
            if time.monotonic() + delay_s > give_up_at:
                raise
        await anyio.sleep(delay_s)
