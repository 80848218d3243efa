"""Shows operations on many jobs: as rows of a list, and one by one."""

from datetime import datetime
from typing import Any

import click
import msgspec

from millstream import BulkOperation, OperationSample
from millstream_cli.output import print_json, print_table
from millstream_cli.wording import ago, lasting, printable

_COLUMNS = ("id", "asked", "kind", "state", "found", "done", "refused", "of")


def print_operations(found: list[BulkOperation], now: datetime) -> None:
    """Print operations as a table."""
    print_table("operations", _COLUMNS, [_row(one, now) for one in found], "no operations")


def print_operation(one: BulkOperation, *, as_json: bool) -> None:
    """Print one operation."""
    if as_json:
        print_json(one)
        return
    lines = {
        "id": one.id,
        "state": f"{one.state}: {one.detail}" if one.detail else one.state,
        "jobs": _of(one),
        "found": f"{one.found}, of which {one.done} done and {one.refused} refused" if one.tenant is None else "",
        "removed": ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in one.removed.items()),
        "canary": f"{one.canary.count} jobs, {one.failed} died again" if one.canary else "",
        "job": one.job_id or "",
        "left": f"about {lasting(one.eta_s)}" if one.eta_s else "",
    }
    for name, text in lines.items():
        if text:
            click.echo(f"{name:>8}  {printable(str(text))}")
    for sample in one.samples:
        click.echo(f"{'would':>8}  {printable(sample.id)}: {printable(_changes(sample))}")
    for refusal in one.refusals:
        click.echo(f"{'refused':>8}  {printable(refusal.id)}: {printable(refusal.reason)}")


def _changes(sample: OperationSample) -> str:
    """Return what would change in a payload, as `/region "europe" → "eu"`."""
    return "; ".join(
        f"{change.pointer or 'payload'} {_json(change.before)} → {_json(change.after)}"
        if change.kind == "changed"
        else f"{change.pointer} {change.kind} {_json(change.after if change.kind == 'added' else change.before)}"
        for change in sample.changes
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _row(one: BulkOperation, now: datetime) -> tuple[object, ...]:
    kind = f"{one.kind}, dry run" if one.dry_run else one.kind
    return one.id, ago(one.created_at, now), kind, one.state, one.found, one.done, one.refused, _of(one)


def _of(one: BulkOperation) -> str:
    if one.tenant is not None:
        return f"all of the tenant {one.tenant}"
    if one.group is not None:
        return f"{one.group.type} {one.group.fingerprint}"
    if one.jobs is not None:
        return f"{one.jobs} ids"
    if one.kind == "export":
        return one.q or "every job"
    return one.q or ("a search that is erased too" if one.kind == "erase" else "every dead job")
