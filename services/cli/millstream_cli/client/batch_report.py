"""What the commands about batches print."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from millstream_cli.output import print_json, print_table
from millstream_cli.wording import ago, lasting, printable, stamp
from millstream_contracts import BatchCallbackStatus, BatchMember, BatchReceipt, BatchStatus, MemberState


def print_batches(found: Sequence[BatchStatus]) -> None:
    """Print a list of batches."""
    now = datetime.now(UTC)
    rows = [
        (one.id, one.name, one.state, _done(one), one.counts.get(MemberState.DEAD, 0) or "", ago(one.created_at, now))
        for one in found
    ]
    print_table("batches", ("batch", "name", "state", "done", "dead", "started"), rows, "no batches")


def print_batch(one: BatchStatus, members: Sequence[BatchMember] | None = None, *, as_json: bool) -> None:
    """Print one batch, and members of it."""
    if as_json:
        print_json(one)
        return
    for label, value in _facts(one):
        click.echo(f"{label:>12}  {value}")
    if members is not None:
        click.echo()
        print_table("members", ("job", "state"), [(member.job, member.state) for member in members], "no members")


def print_receipt(receipt: BatchReceipt, *, as_json: bool) -> None:
    """Print what became of jobs that were added."""
    if as_json:
        print_json(receipt)
        return
    click.echo(f"{receipt.accepted:,} accepted, {receipt.rejected:,} refused")
    rows = [
        (item.index + 1, printable(item.problem.detail or item.problem.title))
        for item in receipt.items
        if item.problem is not None
    ]
    if rows:
        print_table("refused", ("job", "why"), rows, "")


def _facts(one: BatchStatus) -> Iterator[tuple[str, str]]:
    """Yield what there is to say about a batch."""
    yield "batch", one.id
    yield "name", one.name
    yield "state", f"{one.state} ({printable(one.reason)})" if one.reason else str(one.state)
    yield "members", ", ".join(f"{count:,} {state}" for state, count in one.counts.items()) or "none"
    for event, callback in one.callbacks.items():
        yield str(event).replace("_", " "), f"{callback.job}{_said_of(callback)}"
    if one.submitted_by:
        yield "submitter", one.submitted_by
    yield "started", stamp(one.created_at)
    if one.expires_at is not None:
        yield "closes", stamp(one.expires_at)
    if one.finished_at is not None:
        took = lasting((one.finished_at - one.created_at).total_seconds())
        yield "ended", f"{stamp(one.finished_at)}, after {took}"


def _said_of(callback: BatchCallbackStatus) -> str:
    if callback.reason:
        return f" (refused: {printable(callback.reason)})"
    return "" if callback.submitted else " (about to be submitted)" if callback.fired else " (not yet)"


def _done(one: BatchStatus) -> str:
    return f"{one.counts.get(MemberState.SUCCEEDED, 0):,}/{one.total:,}"
