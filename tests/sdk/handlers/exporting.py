"""Pages of jobs as the API answers a search with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sdk.client.scripted_api import Reply

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def job(number: int, **fields: Any) -> dict[str, Any]:
    """Return a job that was submitted so many minutes before."""
    at = (BEGAN - timedelta(minutes=number)).isoformat()
    known = {"id": f"a_{number}", "type": "a", "state": "dead", "created_at": at, "tags": {"k": "v"}, "attempts": 2}
    return {**known, "error": {"type": "ValueError", "message": "=1+1", "fingerprint": "f"}, **fields}


def page(jobs: list[dict[str, Any]], next_cursor: str | None = None, **fields: Any) -> Reply:
    """Return a page."""
    return Reply(200, {"items": jobs, "next_cursor": next_cursor, "history_lag_s": 0.5, **fields})
