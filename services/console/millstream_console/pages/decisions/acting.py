"""Carries a decision out: few jobs at once, many by an operation."""

from collections.abc import Awaitable, Callable, Sequence

from millstream import AccessError, ActionReport, ApiError, BulkOperation, Client, Job, UnavailableError
from millstream.errors import describe
from millstream_console.pages.decisions.chosen import Chosen
from millstream_console.pages.decisions.confirmation import DEFAULT_RATE, Confirmation
from millstream_console.pages.decisions.decision import Decision
from millstream_console.web.toast import Toast

_ACCEPTED = 202
_NOT_FOUND = 404
_TOLD_REASONS = 2


async def start(client: Client, decision: Decision, chosen: Chosen, confirmation: Confirmation) -> BulkOperation:
    """Have an operation carry out a decision. Raises: ApiError."""
    return await client.start_operation(
        decision.name,
        q=chosen.q,
        ids=chosen.ids or None,
        group=chosen.group,
        rate=confirmation.rate_per_s or float(DEFAULT_RATE),
        canary=None if confirmation.dry_run else confirmation.trial(decision),
        dry_run=confirmation.dry_run,
        fresh=confirmation.fresh and decision.redrives,
        priority=confirmation.new_priority if decision.name == "priority" else None,
        patch=confirmation.patch_members if decision.name == "patch" else None,
        export=confirmation.export_options if decision.name == "export" else None,
    )


async def act_on_ids(client: Client, decision: Decision, ids: Sequence[str]) -> Toast:
    """Carry out a decision about a few jobs now. Returns: what was done, and what was not. Raises: ApiError."""
    if decision.name == "redrive":
        return report_of(decision, await client.redrive(ids=ids))
    if decision.name == "discard":
        return report_of(decision, await client.discard(ids=ids))
    return await _act_on_each(client.run_now if decision.name == "run-now" else client.cancel, decision, ids)


def report_of(decision: Decision, report: ActionReport) -> Toast:
    """Return what came of an action, in a sentence."""
    gone = sum(item.status == _NOT_FOUND for item in report.items)
    reasons = [item.detail for item in report.items if item.status not in {_ACCEPTED, _NOT_FOUND} and item.detail]
    return _toast(decision, report.done, report.refused - gone, gone, reasons)


async def _act_on_each(act: Callable[[str], Awaitable[Job]], decision: Decision, ids: Sequence[str]) -> Toast:
    done, gone, reasons = 0, 0, []
    for job_id in ids:
        try:
            await act(job_id)
            done += 1
        except (AccessError, UnavailableError):
            raise
        except ApiError as error:
            if error.problem.status == _NOT_FOUND:
                gone += 1
            else:
                reasons.append(error.problem.detail or describe(error.problem))
    return _toast(decision, done, len(reasons), gone, reasons)


def _toast(decision: Decision, done: int, refused: int, gone: int, reasons: Sequence[str]) -> Toast:
    parts = [f"{done:,} {'job' if done == 1 else 'jobs'} {decision.done}"]
    if refused:
        why = "; ".join(list(dict.fromkeys(reasons))[:_TOLD_REASONS])
        parts.append(f"{refused:,} left alone" + (f": {why}" if why else ""))
    if gone:
        parts.append(f"{gone:,} {'is' if gone == 1 else 'are'} gone")
    text = "; ".join(parts).rstrip(".") + "."
    if not refused and not gone:
        return Toast(text)
    return Toast(text, "w" if done else "b")
