"""The options of `@app.job`, and the policy that they make."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypedDict

import msgspec

from millstream.errors import HandlerError
from millstream.jobs.submit_options import Seconds
from millstream.steering import Retry
from millstream_contracts import TypePolicy, did_you_mean

Isolation = Literal["loop", "thread", "process"]
"""Where a handler runs: on the event loop, in a thread, or in a process that can be killed."""


class JobOptions(TypedDict, total=False):
    """Options of `@app.job`. Times are seconds or a timedelta."""

    timeout: Seconds
    """Time after which an attempt is stopped and counts as failed."""
    retry: Retry
    isolation: Isolation
    """By default `loop` for `async def` and `thread` for `def`."""
    result_ttl: Seconds
    """Time for which a finished job can be read."""
    partitions: int
    """Number of queues of the type, so that a busy type can span several nodes of a cluster."""


def check_job_options(job_type: str, options: JobOptions) -> None:
    """Raise HandlerError, with a suggestion, for an option that there is not."""
    known = JobOptions.__annotations__
    for option in options:
        if option not in known:
            raise HandlerError(f"`{job_type}`: unknown option `{option}`{did_you_mean(option, known)}")


def policy_of(job_type: str, options: JobOptions) -> TypePolicy:
    """Return the policy that the options make. Raises: HandlerError, which names the type and the field."""
    retry = options.get("retry", Retry())
    try:
        wanted = {
            "max_attempts": retry.max_attempts,
            "backoff": msgspec.to_builtins(retry.to_backoff()),
            "timeout_s": _seconds(options.get("timeout")),
            "result_ttl_s": _seconds(options.get("result_ttl", TypePolicy(max_attempts=1).result_ttl_s)),
            "partitions": options.get("partitions", 1),
        }
        return msgspec.convert(wanted, TypePolicy)
    except msgspec.ValidationError as error:
        raise HandlerError(f"`{job_type}`: {error}") from error


def isolation_of(function: Callable[..., Any], options: JobOptions) -> Isolation:
    """Return where a handler runs. Raises: HandlerError, where its kind of function cannot."""
    is_async = inspect.iscoroutinefunction(function)
    isolation = options.get("isolation", "loop" if is_async else "thread")
    if isolation not in {"loop", "thread", "process"}:
        raise HandlerError(f"isolation is `loop`, `thread` or `process`, not `{isolation}`")
    if is_async and isolation == "thread":
        raise HandlerError(f"{function.__qualname__} is async: it runs on the loop or in a process")
    if not is_async and isolation == "loop":
        raise HandlerError(f"{function.__qualname__} is not async: on the loop it would stop all others")
    return isolation


def _seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value
