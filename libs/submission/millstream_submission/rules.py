"""The rules for several fields of a submission together: its times, and values that history cannot store."""

from collections.abc import Callable, Iterator
from datetime import datetime

from millstream_contracts import Callback, FieldError, Submission, limits
from millstream_webhooks import CALL_TYPE, AddressError, check_form

TOO_FAR = "is more than ten years away"

OVERLONG_KEY = f"has more than {limits.MAX_KEY_BYTES} bytes in UTF-8"
NUL = "contains the character NUL"

_NO_TIMES = (None, None, None, None)


def has_rules(submission: Submission) -> bool:
    """Whether a submission has any of the fields that :func:`rule_faults` checks."""
    fields = (submission.run_at, submission.delay_s, submission.expires_at, submission.expires_in_s)
    if submission.after_failure != "wait" or submission.after_unknown != "refuse":
        return True
    if submission.key is not None:
        return True
    return submission.tags is not None or submission.callback is not None or fields != _NO_TIMES


def rule_faults(submission: Submission, prefix: str, clock: Callable[[], float]) -> Iterator[FieldError]:
    """Yield the faults of a submission, with pointers that begin with `prefix`; `clock` gives Unix seconds."""
    yield from _text_faults(submission, prefix)
    if submission.callback is not None:
        yield from _callback_faults(submission.type, submission.callback, prefix)
    if submission.after is None:
        for name, default in (("after_failure", "wait"), ("after_unknown", "refuse")):
            if getattr(submission, name) != default:
                yield FieldError(f"{prefix}/{name}", "needs `after`, the jobs to wait for")
    run = (submission.run_at, submission.delay_s)
    expiry = (submission.expires_at, submission.expires_in_s)
    if run == expiry == (None, None):
        return
    if None not in run:
        yield FieldError(prefix + "/delay_s", "excludes `run_at`")
    if None not in expiry:
        yield FieldError(prefix + "/expires_in_s", "excludes `expires_at`")
    yield from _time_faults(submission, prefix, clock())


def _text_faults(submission: Submission, prefix: str) -> Iterator[FieldError]:
    if submission.tags and any("\0" in key + value for key, value in submission.tags.items()):
        yield FieldError(prefix + "/tags", NUL)
    if submission.key is not None and (fault := key_fault(submission.key)):
        yield FieldError(prefix + "/key", fault)


def key_fault(key: str) -> str:
    """Return what keeps a text from being the key of a job; empty for nothing."""
    if len(key.encode(errors="surrogatepass")) > limits.MAX_KEY_BYTES:
        return OVERLONG_KEY
    return NUL if "\0" in key else ""


def _callback_faults(job_type: str, callback: Callback, prefix: str) -> Iterator[FieldError]:
    if job_type == CALL_TYPE:
        # Each call would cause the next.
        yield FieldError(prefix + "/callback", f"is not for jobs of the type `{CALL_TYPE}`, which are calls themselves")
    try:
        check_form(callback.url)
    except AddressError as error:
        yield FieldError(prefix + "/callback/url", str(error))


def _time_faults(submission: Submission, prefix: str, now_s: float) -> Iterator[FieldError]:
    run_s = _offset_s(submission.run_at, submission.delay_s, now_s)
    expiry_s = _offset_s(submission.expires_at, submission.expires_in_s, now_s)
    if far := submission.too_far(now_s):
        yield FieldError(f"{prefix}/{far}", TOO_FAR)
    if run_s is not None and expiry_s is not None and expiry_s <= run_s:
        name = "expires_at" if submission.expires_at else "expires_in_s"
        yield FieldError(f"{prefix}/{name}", "the job would expire before it may run")


def _offset_s(at: datetime | None, in_s: float | None, now_s: float) -> float | None:
    return in_s if at is None else at.timestamp() - now_s


def delay_s(submission: Submission, now_s: float) -> float:
    """Return the earliest time of a job as seconds from now; 0 or less for at once."""
    return _offset_s(submission.run_at, submission.delay_s, now_s) or 0.0
