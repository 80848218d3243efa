"""Options for limits of the API, of a key or a tenant, and how such limits are shown."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from millstream_contracts import RequestLimits
from millstream_contracts import limits as bounds

_RATE = click.FloatRange(bounds.MIN_API_RATE_PER_S, bounds.MAX_API_RATE_PER_S)
_BURST = click.IntRange(1, bounds.MAX_API_BURST)


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for limits; the command gets them as `limits`, None where none is given."""

    @wraps(command)
    def with_limits(
        *arguments: Any,
        submissions_per_s: float | None,
        burst: int | None,
        requests_per_s: float | None,
        **options: Any,
    ) -> None:
        limits = RequestLimits(submissions_per_s=submissions_per_s, burst=burst, requests_per_s=requests_per_s)
        command(*arguments, limits=None if limits == RequestLimits() else limits, **options)

    added: Callable[..., None] = with_limits
    for option in (
        click.option("--requests-per-s", type=_RATE, help="Other requests a second."),
        click.option("--burst", type=_BURST, help="Jobs at once; those of one second if left out."),
        click.option("--submissions-per-s", type=_RATE, help="Jobs a second that may be submitted."),
    ):
        added = option(added)
    return added


def limits_text(limits: RequestLimits | None) -> str:
    """Return limits as they are shown; nothing for none."""
    if limits is None:
        return ""
    burst = f", {limits.burst} at once" if limits.burst else ""
    parts = [f"{limits.submissions_per_s:g} jobs/s{burst}"] if limits.submissions_per_s else []
    if limits.requests_per_s:
        parts.append(f"{limits.requests_per_s:g} other requests/s")
    return "; ".join(parts)
