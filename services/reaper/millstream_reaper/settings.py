"""What can be set of a reaper."""

from typing import Annotated

from msgspec import Meta

from millstream_runtime import DAY_S, HOUR_S, LeaseSettings


class ReaperSettings(LeaseSettings, frozen=True, kw_only=True):
    """Settings of the reaper."""

    interval_s: Annotated[float, Meta(ge=0.1, le=HOUR_S)] = 5.0
    """How often it looks for what vanished workers held; such a job runs again within `lease_s` plus this."""
    trim_every_s: Annotated[float, Meta(ge=0.5, le=HOUR_S)] = 10.0
    """How often an event stream is trimmed that grows; one without anything to trim, half as often."""
    events_kept: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 100_000
    """Entries per event stream at most; those that nobody has read yet are counted as lost."""
    sweep_every_s: Annotated[float, Meta(ge=0.5, le=HOUR_S)] = 60.0
    """How often consumers and workers are removed that have gone."""
    consumer_idle_s: Annotated[float, Meta(ge=60.0, le=30 * DAY_S)] = HOUR_S
    """After how long without a sign of life a consumer that holds no job is removed."""
    worker_silent_s: Annotated[float, Meta(ge=30.0, le=DAY_S)] = 60.0
    """After how long without a heartbeat a worker is taken off the list."""
