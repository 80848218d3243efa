"""Settings of a dispatcher."""

from typing import Annotated

from msgspec import Meta

from millstream_runtime import DAY_S, HOUR_S, HistorySettings, Url

Interval = Annotated[float, Meta(ge=0.5, le=HOUR_S)]

Patience = Annotated[float, Meta(ge=10.0, le=30 * DAY_S)]
MailAddress = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9.#$%&'*+_~-]+@[A-Za-z0-9.-]+$", description="a mail address such as ops@example.org"),
]


class DispatcherSettings(HistorySettings, frozen=True, kw_only=True):
    """Settings of the dispatcher."""

    release_every_s: Interval = 5.0
    """How often each queue is checked for due jobs. A job starts late by this much at most when its hint was lost."""
    expire_every_s: Interval = 5.0
    """How often each queue is checked for expired jobs. A job is shown as expired late by this much at most."""
    tell_every_s: Interval = 5.0
    """How often each queue is checked for jobs that have ended and for which others wait. These start late by this much
    at most when a hint was lost."""
    link_every_s: Interval = 5.0
    """How often each queue is checked for blocked jobs whose parents may not know of them."""
    gauges_every_s: Interval = 5.0
    """How often the depth and age of the queues are measured."""
    history_days: Annotated[int, Meta(ge=2, le=3650)] = 90
    """How many days the history keeps. Older days are dropped whole; jobs of them that have not ended are kept."""
    audit_days: Annotated[int, Meta(ge=62, le=3650)] = 400
    """How many days the history keeps [audit records](security/audit.md), whatever it keeps of jobs. They go by whole
    months."""
    deletion_settles_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 90.0
    """For how long the deletion of a tenant looks again for what comes late: from running handlers, and from processes
    that remember its queues, which they do for a minute."""
    notices_email: tuple[MailAddress, ...] = ()
    """The mail addresses that notices go to, by jobs of the type `email.send`. Empty: no mails."""
    notices_webhook: Url | None = None
    """The URL that is called with notices, by jobs of the type `webhook.call`. Unset: no calls."""
    notices_notify: bool = False
    """Whether notices go to the URLs in `MILLSTREAM_NOTIFY_URLS` of the workers, by jobs of the type `notify.send`."""
    notices_dead_after_s: Patience = 300.0
    """How old a dead letter is when people are told."""
    notices_no_worker_after_s: Patience = 60.0
    """How long jobs wait without a worker that handles them when people are told."""
    notices_schedule_late_after_s: Patience = 300.0
    """How long an occasion of a schedule has been due without being decided on when people are told."""
    notices_history_behind_s: Patience = 300.0
    """How far the history is behind when people are told."""
