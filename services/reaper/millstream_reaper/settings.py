"""Settings of a reaper."""

from typing import Annotated

from msgspec import Meta

from millstream_runtime import DAY_S, HOUR_S, LeaseSettings


class ReaperSettings(LeaseSettings, frozen=True, kw_only=True):
    """Settings of the reaper."""

    interval_s: Annotated[float, Meta(ge=0.1, le=HOUR_S)] = 5.0
    """How often the reaper recovers jobs of vanished workers. Such a job runs again within `lease_s` plus this."""
    trim_every_s: Annotated[float, Meta(ge=0.5, le=HOUR_S)] = 10.0
    """How often the event stream of a busy queue is trimmed; that of an idle queue is trimmed half as often."""
    events_kept: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 100_000
    """Most entries that an event stream keeps. Entries that are trimmed before the history has read them are counted as
    lost."""
    sweep_every_s: Annotated[float, Meta(ge=0.5, le=HOUR_S)] = 60.0
    """How often consumers and workers that have gone are removed."""
    consumer_idle_s: Annotated[float, Meta(ge=60.0, le=30 * DAY_S)] = HOUR_S
    """How long a consumer without jobs may be idle before it is removed."""
    worker_silent_s: Annotated[float, Meta(ge=30.0, le=DAY_S)] = 60.0
    """How long a worker may go without a heartbeat before it is removed from the list of workers."""
