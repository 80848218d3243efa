"""The options of a submission."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, TypedDict

from millstream_contracts import Backoff, did_you_mean

Seconds = float | timedelta


class SubmitOptions(TypedDict, total=False):
    """Options of one job. Those left out, or None, follow the policy of the job's type."""

    delay: Seconds | None
    """Run it no sooner than after this time, in seconds or as a timedelta."""
    run_at: datetime | None
    """Run it no sooner than at this moment, which needs a time zone."""
    expires_in: Seconds | None
    """Let it expire if it has not started after this time."""
    expires_at: datetime | None
    priority: Literal["high", "normal", "low"] | None
    max_attempts: int | None
    timeout: Seconds | None
    """Time after which an attempt is stopped and counts as failed."""
    backoff: Backoff | None
    tags: Mapping[str, str] | None
    """Up to 16 short strings, searchable."""


def check_submit_options(options: SubmitOptions) -> None:
    """Raise TypeError, with a suggestion, for an option that there is not."""
    known = SubmitOptions.__annotations__
    for option in options:
        if option not in known:
            raise TypeError(f"unknown option `{option}`{did_you_mean(option, known)}")
