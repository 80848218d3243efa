"""What the commands about schedules print."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from millstream_cli.output import print_json, print_table
from millstream_cli.wording import ago, printable, stamp
from millstream_contracts import Backfill, BackfillState, Schedule, ScheduleOccasion, SchedulePreview, ScheduleRules
from millstream_schedules import ScheduleError, clock_change, described, shown_expression, zone_of

CHANGES = {
    "gap": "the clock skips its time: at the end of the gap",
    "repeat": "the clock shows its time twice: the first",
}


MISSED = {"skip": "skip it", "latest": "run the latest", "all": "run all of them"}
OVERLAP = {
    "allow": "run beside it",
    "skip": "skip the occasion",
    "queue": "wait for its end, the newest occasion only",
    "cancel-running": "cancel it, and run when it has ended",
}


def print_schedules(found: Sequence[Schedule]) -> None:
    """Print a list of schedules."""
    now = datetime.now(UTC)
    columns = ("schedule", "state", "when", "next", "type", "owner", "last")
    print_table("schedules", columns, [_row(one, now) for one in found], "no schedules")


def _row(one: Schedule, now: datetime) -> Sequence[object]:
    following = ago(one.next[0], now) if one.next else ""
    return one.name, one.state, described(one), following, one.job.type, _owner(one), _last_state(one)


def print_schedule(one: Schedule, *, as_json: bool) -> None:
    """Print one schedule with its next occasions."""
    if as_json:
        print_json(one)
        return
    for label, value in _facts(one):
        click.echo(f"{label:>12}  {value}")


def _facts(one: Schedule) -> Iterator[tuple[str, str]]:
    """Yield what there is to say about a schedule."""
    state = f"{one.state} ({printable(one.reason)})" if one.reason else str(one.state)
    yield "schedule", one.name
    if one.description:
        yield "for", printable(one.description)
    yield "state", state
    yield "when", f"{described(one)} ({printable(shown_expression(one))})"
    for number, at in enumerate(one.next):
        yield "" if number else "next", moments(one, at)
    yield "job", one.job.type
    yield "if late", f"{MISSED[one.missed]} (late: more than {one.late_s:g} s)"
    yield "if running", OVERLAP[one.overlap]
    yield "owner", _owner(one)
    counts = one.counts
    yield (
        "so far",
        f"{counts.fired:,} fired, {counts.skipped:,} skipped, {counts.missed:,} missed, {counts.failed:,} refused",
    )
    if one.last is not None:
        yield "last", f"{stamp(one.last.nominal)}: {one.last.job} {_last_state(one)}".rstrip()
    if one.error:
        yield "error", printable(one.error)


def print_preview(seen: SchedulePreview, rules: ScheduleRules, *, as_json: bool) -> None:
    """Print what a schedule would be. Of the rules those are needed that a change of the clock concerns."""
    if as_json:
        print_json(seen)
        return
    made = "it would be new" if seen.version is None else f"it would replace version {seen.version}"
    click.echo(f"{seen.schedule}: {seen.state}; {made}; nothing was put")
    print_occasions(rules, seen.next, as_json=False)


def print_occasions(one: ScheduleRules, found: Sequence[ScheduleOccasion], *, as_json: bool) -> None:
    """Print when a schedule fires next."""
    if as_json:
        print_json(found)
        return
    rows = [(_there(one, each.nominal), stamp(each.nominal), _remark(one, each.nominal)) for each in found]
    print_table("occasions", (f"in {one.tz}", "UTC", ""), rows, "no occasions")


def print_backfill(found: Backfill, *, as_json: bool) -> None:
    """Print a backfill, or what one would do."""
    if as_json:
        print_json(found)
        return
    count = f"{found.occasions:,} occasion{'' if found.occasions == 1 else 's'}"
    if found.state is BackfillState.PLANNED:
        click.echo(f"{count} of {found.schedule}; nothing was started")
        for nominal in found.first:
            click.echo(f"  {stamp(nominal)}")
        if found.occasions > len(found.first):
            click.echo(f"  and {found.occasions - len(found.first):,} more")
        return
    click.echo(f"{found.id}: {found.state}, {found.started:,} of {count} started, {found.parallel} at a time")


def moments(one: Schedule, at: datetime) -> str:
    """Return a moment by the clock of a schedule, and in UTC where that differs."""
    there = _there(one, at)
    return stamp(at) if one.tz == "UTC" else f"{there} {one.tz} ({stamp(at)})"


def _there(one: ScheduleRules, at: datetime) -> str:
    try:
        return f"{at.astimezone(zone_of(one.tz)):%a %Y-%m-%d %H:%M:%S}"
    except ScheduleError:
        # A zone that this release does not know.
        return f"{at:%a %Y-%m-%d %H:%M:%S}"


def _remark(one: ScheduleRules, nominal: datetime) -> str:
    try:
        change = clock_change(one, nominal)
    except ScheduleError:
        return ""
    return CHANGES[change] if change else ""


def _owner(one: Schedule) -> str:
    return f"code of {one.app}" if one.owner == "code" else "API"


def _last_state(one: Schedule) -> str:
    return str(one.last.state) if one.last and one.last.state else ""
