"""Examples of schedules for the API document."""

from datetime import UTC, datetime

from millstream_contracts import (
    Backfill,
    BackfillPage,
    BackfillState,
    JobState,
    LastOccasion,
    Schedule,
    ScheduleCounts,
    ScheduledJob,
    ScheduleOccasion,
    ScheduleOccasions,
    SchedulePage,
    SchedulePreview,
    ScheduleRun,
    ScheduleState,
)
from millstream_ingest.api.operation import Example

_PAYLOAD = {"name": "stock", "rows": [{"city": "Oslo", "sold": 3}]}
_JOB_ID = "report.generate_000001KBCSZ4000ABCDEFGHJKM"
_AT = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
_NEXT = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
_BACKFILL = "bf_5f0c2a9e41d0b7c3a8e61f24"

_NIGHTLY = Schedule(
    name="nightly",
    state=ScheduleState.ACTIVE,
    cron="0 3 * * *",
    tz="Europe/Paris",
    overlap="skip",
    version=1,
    created_at=_AT,
    updated_at=_AT,
    job=ScheduledJob(type="report.generate", payload=_PAYLOAD),
    next=[_NEXT],
    last=LastOccasion(nominal=_AT, job=_JOB_ID, state=JobState.SUCCEEDED),
    counts=ScheduleCounts(fired=1),
)
DEFINITIONS = {
    "cron": Example(
        "Each night at three in Paris, one at a time",
        {
            "cron": "0 3 * * *",
            "tz": "Europe/Paris",
            "missed": "latest",
            "overlap": "skip",
            "job": {"type": "report.generate", "payload": _PAYLOAD},
        },
    ),
    "interval": Example("Every ten minutes", {"every_s": 600, "job": {"type": "demo.flaky"}}),
}
SCHEDULE = {"nightly": Example("A schedule", _NIGHTLY)}
SCHEDULES = {"page": Example("One schedule", SchedulePage(items=[_NIGHTLY]))}
OCCASIONS = {
    "next": Example("The next one", ScheduleOccasions(items=[ScheduleOccasion(nominal=_NEXT, fires_at=_NEXT)]))
}
PREVIEW = {
    "new": Example(
        "It would be new",
        SchedulePreview(
            schedule="nightly", state=ScheduleState.ACTIVE, next=[ScheduleOccasion(nominal=_NEXT, fires_at=_NEXT)]
        ),
    )
}
RUN = {"run": Example("The job", ScheduleRun(schedule="nightly", job=_JOB_ID))}
BACKFILL_REQUESTS = {
    "week": Example(
        "A week, two jobs at a time",
        {"from": "2026-11-01T00:00:00Z", "to": "2026-11-08T00:00:00Z", "parallel": 2, "dry_run": True},
    )
}
_RUNNING = Backfill(
    id=_BACKFILL,
    schedule="nightly",
    state=BackfillState.RUNNING,
    from_=datetime(2026, 11, 1, tzinfo=UTC),
    to=datetime(2026, 11, 8, tzinfo=UTC),
    parallel=2,
    occasions=7,
    started=2,
    running=[_JOB_ID],
    created_at=_AT,
)
_PLANNED = Backfill(
    schedule="nightly",
    state=BackfillState.PLANNED,
    from_=datetime(2026, 11, 1, tzinfo=UTC),
    to=datetime(2026, 11, 8, tzinfo=UTC),
    parallel=2,
    occasions=7,
    first=[datetime(2026, 11, 1, 2, 0, tzinfo=UTC)],
)
BACKFILL = {"running": Example("It runs", _RUNNING)}
PLANNED_BACKFILL = {"planned": Example("A dry run", _PLANNED)}
BACKFILLS = {"page": Example("One backfill", BackfillPage(items=[_RUNNING]))}
