"""The list of audit records."""

from typing import Any

from litestar import Response, get

from millstream import ApiError, AuditRecord, Client
from millstream_console.live.view import Content, View
from millstream_console.reading.past import Absence, absence_in
from millstream_console.web.visit import Visit
from millstream_contracts import AuditOutcome

PAGE = 50
OUTCOMES = ("", *(outcome.value for outcome in AuditOutcome))
_SHAPES = {
    AuditOutcome.DONE: "done",
    AuditOutcome.REFUSED: "skipped",
    AuditOutcome.FAILED: "failed",
    AuditOutcome.UNKNOWN: "unknown",
}


async def read_records(client: Client, *, outcome: str, action: str, key: str, target: str, cursor: str) -> Content:
    """Return a page of records, newest first; None in their place without a history. Raises: ApiError."""
    filters = {"outcome": outcome, "action": action, "key": key, "target": target}
    try:
        page = await client.audit(
            outcome=outcome or None,
            action=action or None,
            key=key or None,
            target=target or None,
            cursor=cursor or None,
            limit=PAGE,
        )
    except ApiError as error:
        if absence_in(error) is not Absence.NONE:
            raise
        return {"records": None, "next_cursor": None, "cursor": "", "filters": filters}
    return {
        "records": page.items,
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "filters": filters,
        "shape_of": lambda record: _SHAPES[record.outcome],
        "said_by": said_by,
    }


RECORDS = View("audit.html", read_records, "audit")


@get("/audit")
async def show_records(visit: Visit) -> Response[Any]:
    """Show audit records."""
    return await visit.show(
        RECORDS,
        outcome=visit.choice("outcome", OUTCOMES, ""),
        action=visit.text("action"),
        key=visit.text("key"),
        target=visit.text("target"),
        cursor=visit.text("cursor"),
    )


def said_by(record: AuditRecord) -> list[tuple[str, object, object]]:
    """Return what a record says of its change: name, before and after; of what was asked for there is no before."""
    changed = [
        (name, one.get("before"), one.get("after")) for name, one in record.changes.items() if isinstance(one, dict)
    ]
    if changed:
        return changed
    asked = {**record.query, **(record.asked if isinstance(record.asked, dict) else {})}
    return [(name, None, value) for name, value in asked.items()]


HANDLERS = (show_records,)
"""The functions that answer."""
