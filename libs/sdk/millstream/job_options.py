"""The options of `@app.job`, and the policy that they make."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

import msgspec

from millstream.errors import HandlerError
from millstream.function_reader import is_async, is_coroutine_function, place_of
from millstream.jobs.job_ref import JobRef
from millstream.payloads import DataType
from millstream.seconds import Seconds, in_seconds
from millstream.steering import Retry
from millstream.unique import Unique, rule_of
from millstream_contracts import (
    DeadJob,
    JobError,
    JobId,
    JobType,
    Keeps,
    KeptLogs,
    QueueLimits,
    TypePolicy,
    did_you_mean,
    moment,
    secret_places,
)

Isolation = Literal["loop", "thread", "process"]
"""Where a handler runs: on the event loop, in a thread, or in a process that can be killed."""


class JobOptions(TypedDict, total=False):
    """Options of `@app.job`. Times are seconds or a timedelta."""

    timeout: Seconds
    """Time after which an attempt is stopped and counts as failed. Without it an attempt may take for ever."""
    retry: Retry
    """How often and when a failed job runs again. By default it is `Retry()`."""
    isolation: Isolation
    """Where it runs: `loop`, `thread` or `process`. By default it is `loop` for `async def` and `thread` for `def`."""
    result_ttl: Seconds
    """Time for which a finished job can be read, an hour by default."""
    on_dead: JobRef[DeadJob, Any]
    """The handler, or its contract, of which a job is submitted for each dead letter of this type."""
    key: str
    """The field of the payload that holds the key of a job, such as `customer_id` or `order.customer`, where its
    submission has none."""
    partitions: int
    """Number of queues of the type, so that a busy type can span several nodes of a cluster; one by default."""
    keeps: Keeps
    """What the history stores of the jobs: `everything`, the default; `no_payload`: no payload, no result; `failures`:
    only jobs that failed, from their first failure on; or `nothing`. All are counted in statistics."""
    logs: KeptLogs
    """Of which attempts the history has the last log lines: `failed`, the default, `all` or `none`. With `keeps`
    `no_payload` or `nothing` it has none, for lines quote payloads."""
    compress: bool
    """Whether large payloads and results may be compressed in Redis, which is so by default. Not for a type whose
    payloads have secrets beside text that others choose: the size of what is stored tells of the secret."""
    encrypted: bool
    """Whether payloads, results, errors, progress notes, steps and log lines of its jobs are stored encrypted. It takes
    keys: `MILLSTREAM_ENCRYPTION_KEYS`. Not beside `key`, which is stored as it is; a unique key is hashed."""
    limits: QueueLimits
    """How many of its jobs run at once and start in a time, of each key too, over all workers, and its circuit breaker.
    They hold until an operator sets others."""
    unique: Unique
    """Which jobs are the same work, of which there is one at a time; without it any number may be the same."""


def check_job_options(job_type: str, options: JobOptions) -> None:
    """Raise HandlerError, with a suggestion, for an option that there is not."""
    known = JobOptions.__annotations__
    for option in options:
        if option not in known:
            raise HandlerError(f"`{job_type}`: unknown option `{option}`{did_you_mean(option, known)}")


def policy_of(job_type: str, options: JobOptions) -> TypePolicy:
    """Return the policy that the options make. Raises: HandlerError, which names the type and the field."""
    retry = options.get("retry", Retry())
    _check_retry(job_type, retry)
    delays = retry.delays
    _check_encryption(job_type, options)
    try:
        wanted = {
            "max_attempts": retry.max_attempts,
            "backoff": msgspec.to_builtins(retry.to_backoff()),
            "delays_s": None if delays is None else [in_seconds(delay) for delay in delays],
            "timeout_s": in_seconds(options.get("timeout")),
            "result_ttl_s": in_seconds(options.get("result_ttl", TypePolicy(max_attempts=1).result_ttl_s)),
            "on_dead": _on_dead(job_type, options.get("on_dead")),
            "partitions": options.get("partitions", 1),
            "keeps": options.get("keeps", "everything"),
            "logs": options.get("logs", "failed"),
            "key": options.get("key"),
            "compress": options.get("compress", True),
            "encrypted": options.get("encrypted", False),
        }
        return msgspec.convert({**wanted, **_unique(job_type, options)}, TypePolicy)
    except msgspec.ValidationError as error:
        raise HandlerError(f"`{job_type}`: {error}") from error


def limits_of(job_type: str, options: JobOptions, policy: TypePolicy) -> QueueLimits | None:
    """Return the limits that a handler declares; None for none. Raises: HandlerError, for what cannot hold."""
    given: Any = options.get("limits")
    if given is None:
        return None
    if not isinstance(given, QueueLimits):
        raise HandlerError(
            f"`{job_type}`: `limits` is a QueueLimits, such as QueueLimits(concurrency=20), not {given!r}"
        )
    try:
        limits = msgspec.convert(msgspec.to_builtins(given), QueueLimits)
    except msgspec.ValidationError as error:
        raise HandlerError(f"`{job_type}`: `limits`: {error}") from error
    if fault := limits.fault_over(policy.partitions):
        name, why = fault
        raise HandlerError(f"`{job_type}`: `{name}` of `limits` {why}: limit its keys, or let it have fewer partitions")
    return limits


def _unique(job_type: str, options: JobOptions) -> dict[str, Any]:
    """Return the part of the policy that says which jobs are unique. Raises: HandlerError."""
    if "unique" not in options:
        return {}
    try:
        return {"unique": msgspec.to_builtins(rule_of(options["unique"]))}
    except (TypeError, msgspec.ValidationError) as error:
        raise HandlerError(f"`{job_type}`: {error}") from error


def _check_encryption(job_type: str, options: JobOptions) -> None:
    """Raise HandlerError for an encrypted type of whose payloads a part would be stored as it is."""
    if options.get("encrypted") and options.get("key") is not None:
        raise HandlerError(
            f"`{job_type}`: `encrypted` and `key` exclude each other: what `key` takes from a payload is stored as it "
            "is. Give the key with the submission, where it is no secret"
        )


def check_secrets(job_type: str, policy: TypePolicy, payload: DataType) -> None:
    """Raise HandlerError for a type whose keys, which are shown, would be made of a secret."""
    secrets = secret_places(payload.schema)
    if secrets is None:
        return
    made_of = [("key", policy.key), *(("unique", path) for path in (policy.unique.fields if policy.unique else ()))]
    for name, path in made_of:
        if path is not None and secrets.covers(path.split(".")):
            raise HandlerError(f"`{job_type}`: `{path}` is secret, and what `{name}` takes from a payload is shown")


def _check_retry(job_type: str, retry: Any) -> None:
    """Raise HandlerError for what only shows when an attempt has failed."""
    if not isinstance(retry, Retry):
        raise HandlerError(f"`{job_type}`: `retry` is a Retry, such as Retry(max_attempts=3), not {retry!r}")
    if retry.delays is not None:
        _check_delays(job_type, retry)
    for name in ("dead_on", "discard_on"):
        kinds: Any = getattr(retry, name)
        if not isinstance(kinds, tuple) or not all(isinstance(kind, type) for kind in kinds):
            raise HandlerError(f"`{job_type}`: `{name}` is a tuple of exceptions, such as (ValueError,), not {kinds!r}")
        for kind in kinds:
            if not issubclass(kind, Exception):
                raise HandlerError(f"`{job_type}`: `{name}` has {kind.__qualname__}, which is no exception")
    if retry.decide is not None and (not callable(retry.decide) or inspect.iscoroutinefunction(retry.decide)):
        raise HandlerError(f"`{job_type}`: `decide` is a function of an exception and an attempt, and not async")


def _check_delays(job_type: str, retry: Retry) -> None:
    """Raise HandlerError for delays beside what computes delays, and for delays that are none."""
    plain = Retry()
    for name in ("backoff", "base", "cap"):
        if getattr(retry, name) != getattr(plain, name):
            raise HandlerError(f"`{job_type}`: `delays` and `{name}` exclude each other")
    if isinstance(retry.delays, str) or not isinstance(retry.delays, Sequence):
        raise HandlerError(f"`{job_type}`: `delays` is a list of times, such as [1, 10, 60], not {retry.delays!r}")


def _on_dead(job_type: str, ref: Any) -> str | None:
    """Return the type of the job for dead letters. Raises: HandlerError, when it cannot take them."""
    if ref is None:
        return None
    if not isinstance(ref, JobRef):
        raise HandlerError(f"`{job_type}`: `on_dead` is a handler or a contract, not {ref!r}")
    if ref.type == job_type:
        raise HandlerError(f"`{job_type}`: `on_dead` is another type, or a dead letter would never be the last")
    if ref.takes is not None:
        try:
            DataType(ref.takes).convert(msgspec.to_builtins(_A_DEAD_JOB))
        except msgspec.ValidationError as error:
            raise HandlerError(f"`{job_type}`: `on_dead` takes no dead letters: `{ref.type}`: {error}") from error
    return ref.type


_A_DEAD_JOB = DeadJob(
    id=JobId("a_000000000000000000000000000"),
    type=JobType("a"),
    reason="attempts",
    died_at=moment(0),
    error=JobError("ValueError", "no"),
)


def isolation_of(function: Callable[..., Any], options: JobOptions) -> Isolation:
    """Return where a handler runs. Raises: HandlerError, where its kind of function cannot.

    A plain function around an async one runs on the loop too, unless the options say otherwise.
    """
    isolation = options.get("isolation", "loop" if is_async(function) else "thread")
    if isolation not in {"loop", "thread", "process"}:
        raise HandlerError(f"isolation is `loop`, `thread` or `process`, not `{isolation}`")
    if isolation == "thread" and is_coroutine_function(function):
        raise HandlerError(f"{place_of(function)} is async: it runs on the loop or in a process")
    if isolation == "loop" and not is_async(function):
        raise HandlerError(f"{place_of(function)} is not async: on the loop it would stop all others")
    return isolation
