"""The options of a submission."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypedDict

from millstream.seconds import Seconds
from millstream_contracts import Backoff, Callback, did_you_mean


class SubmitOptions(TypedDict, total=False):
    """Options of one job. Those left out, or None, follow the policy of the job's type."""

    delay: Seconds | None
    """Run it no sooner than after this time, in seconds or as a timedelta."""
    run_at: datetime | None
    """Run it no sooner than at this moment, which needs a time zone."""
    expires_in: Seconds | None
    """Let it expire if it has not started after this time."""
    expires_at: datetime | None
    """Let it expire if it has not started at this moment, which needs a time zone."""
    priority: Literal["high", "normal", "low"] | None
    """Which jobs of the type start first; `normal` by default."""
    max_attempts: int | None
    """Runs that end in success or failure, in place of those of the type."""
    timeout: Seconds | None
    """Time after which an attempt is stopped and counts as failed, in place of that of the type."""
    backoff: Backoff | None
    """How the delays between attempts grow, in place of the backoff of the type."""
    tags: Mapping[str, str] | None
    """Up to 16 short strings, searchable."""
    callback: str | Callback | None
    """The URL that is called when the job settles; or a `Callback`, which names the events too."""


def check_submit_options(options: SubmitOptions) -> None:
    """Raise TypeError, with a suggestion, for an option that there is not."""
    known = SubmitOptions.__annotations__
    for option in options:
        if option not in known:
            raise TypeError(f"unknown option `{option}`{did_you_mean(option, known)}")
