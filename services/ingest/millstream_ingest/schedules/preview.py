"""Tells what a definition would make, before it is put."""

from datetime import datetime

from millstream_contracts import ScheduleOccasion, SchedulePreview, ScheduleState, moment
from millstream_ingest.schedules.checked_definition import CheckedDefinition
from millstream_ingest.schedules.shown_schedule import TICK
from millstream_streams import ScheduleChange, StoredSchedule


def preview_of(
    name: str,
    asked: CheckedDefinition,
    held: StoredSchedule | None,
    change: ScheduleChange | None,
    now: datetime,
    count: int,
) -> SchedulePreview:
    """Return the preview of a definition. `change` is what putting it would write; None where that is nothing."""
    written = change.fields if change else {}
    state = ScheduleState(str(written.get("state") or (held.state if held else ScheduleState.ACTIVE)))
    next_ms = int(written.get("next_ms") or (held.next_ms if held else 0))
    begin = moment(next_ms) - TICK if state is ScheduleState.ACTIVE and next_ms else now
    occasions = [] if state is ScheduleState.DONE else asked.timing.following(begin, count)
    return SchedulePreview(
        schedule=name,
        version=held.version if held else None,
        state=state,
        next=[ScheduleOccasion(nominal=one.nominal, fires_at=one.fires_at) for one in occasions],
    )
