"""The options of a node of a workflow."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from millstream.seconds import Seconds, in_seconds
from millstream_contracts import AfterFailure, Backoff, did_you_mean


class NodeOptions(TypedDict, total=False):
    """Options of a node. Those of its job that are left out, or None, follow the policy of the job's type."""

    after_failure: AfterFailure | None
    """What becomes of it when a node that it waits for does not succeed: it waits for a decision about a dead one
    (`wait`, the default), is cancelled (`cancel`), or runs all the same (`run`)."""
    optional: bool | None
    """Whether the workflow succeeds although this node does not."""
    delay: Seconds | None
    """Run it no sooner than after this time, counted from when the nodes before it have ended."""
    expires_in: Seconds | None
    """Let it expire if it has not started after this time, counted in the same way."""
    priority: Literal["high", "normal", "low"] | None
    """Which jobs of the type start first; `normal` by default."""
    key: str | None
    """What it is grouped by, such as a customer: limits of the type may hold for each key, and keys take turns."""
    max_attempts: int | None
    """Runs that end in success or failure, in place of those of the type."""
    timeout: Seconds | None
    """Time after which an attempt is stopped and counts as failed, in place of that of the type."""
    backoff: Backoff | None
    """How the delays between attempts grow, in place of the backoff of the type."""
    tags: Mapping[str, str] | None
    """Up to 16 short strings, searchable."""


FIELDS = {"delay": "delay_s", "expires_in": "expires_in_s", "timeout": "timeout_s"}
"""Fields of the API whose names differ from the options: they end with the unit."""


def node_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the API. Raises: TypeError, with a suggestion, for an option that there is not."""
    known = NodeOptions.__annotations__
    for option in options:
        if option not in known:
            raise TypeError(f"unknown option `{option}`{did_you_mean(option, known)}")
    return {FIELDS.get(name, name): in_seconds(value) for name, value in options.items() if value is not None}
