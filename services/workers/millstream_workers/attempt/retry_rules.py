"""The rules of a `Retry` about what a handler raised: `dead_on`, `discard_on`, `decide`.

They are about the handler's own exceptions, and are applied where these are: in the handler process, if there is one. A
timeout, a process that died and other failures that the worker states are failed attempts.
"""

from millstream import Retry
from millstream.steering import Steering
from millstream_telemetry import type_name
from millstream_workers.attempt.failure import printable
from millstream_workers.attempt.handler_request import HandlerRequest, innermost, read_request
from millstream_workers.errors import WorkerError


def read_or_apply(error: BaseException, retry: Retry | None, attempt: int) -> HandlerRequest | None:
    """Return what a handler requests by an exception, or what its `Retry` says of it; None for a failure.

    Never raises.
    """
    request = read_request(error)
    if request is not None or retry is None:
        return request
    inner = innermost(error)
    if not issubclass(type(inner), Exception) or issubclass(type(inner), WorkerError):
        return None
    try:
        return _apply(retry, inner, attempt)  # type: ignore[arg-type]
    except BaseException as failure:  # noqa: BLE001 - `decide` and the metaclass of an exception are a user's code
        why = f"{type_name(failure)}: {printable(failure)}"
        return HandlerRequest("retry_after", unread=f"{printable(inner)} (its `Retry` cannot decide about it: {why})")


def _apply(retry: Retry, error: Exception, attempt: int) -> HandlerRequest | None:
    if issubclass(type(error), retry.dead_on):
        return HandlerRequest("dead", reason=f"dead_on {type_name(error)}")
    if issubclass(type(error), retry.discard_on):
        return HandlerRequest("discard", reason=f"discard_on {type_name(error)}: {printable(error)}")
    if retry.decide is None:
        return None
    decided = retry.decide(error, attempt)
    if decided is None:
        return None
    if not issubclass(type(decided), Steering):
        raise TypeError(f"`decide` returned a {type_name(decided)}, which is no outcome request")
    return read_request(decided)
