"""What can be set of a dispatcher."""

from typing import Annotated

from msgspec import Meta

from millstream_runtime import HOUR_S, HistoryUrl, ServiceSettings

Interval = Annotated[float, Meta(ge=0.5, le=HOUR_S)]


class DispatcherSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of the dispatcher."""

    release_every_s: Interval = 5.0
    """Longest time between two looks at a queue for jobs that are due: how late a job may start when the hint of it was
    lost."""
    expire_every_s: Interval = 5.0
    """The same for jobs that expire, of which there are no hints: how late they may be shown as expired."""
    gauges_every_s: Interval = 5.0
    """How often the depth and age of the queues are measured."""
    history_url: HistoryUrl | None = None
    """The PostgreSQL that remembers every job; unset: nothing does. Better given as a file, for it holds a password."""
