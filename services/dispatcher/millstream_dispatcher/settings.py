"""Settings of a dispatcher."""

from typing import Annotated

from msgspec import Meta

from millstream_runtime import HOUR_S, HistorySettings

Interval = Annotated[float, Meta(ge=0.5, le=HOUR_S)]


class DispatcherSettings(HistorySettings, frozen=True, kw_only=True):
    """Settings of the dispatcher."""

    release_every_s: Interval = 5.0
    """How often each queue is checked for due jobs. A job starts late by this much at most when its hint was lost."""
    expire_every_s: Interval = 5.0
    """How often each queue is checked for expired jobs. A job is shown as expired late by this much at most."""
    gauges_every_s: Interval = 5.0
    """How often the depth and age of the queues are measured."""
    history_days: Annotated[int, Meta(ge=2, le=3650)] = 90
    """How many days the history keeps. Older days are dropped whole; jobs of them that have not ended are kept."""
