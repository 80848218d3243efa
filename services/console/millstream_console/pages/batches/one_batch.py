"""One batch: how many of its members are where, its callbacks, and what can be done with it."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import Client, MemberState
from millstream_console.live.view import Content, View
from millstream_console.pages.batches import batch_words
from millstream_console.web.visit import Visit

ROWS = 50
FILTERS = ("", *(one.value for one in MemberState))


async def read_batch(client: Client, *, batch_id: str, members: str, cursor: str) -> Content:
    """Return a batch with a page of its members. Raises: ApiError."""
    # First alone: that there is none is said once.
    batch = await client.batch_status(batch_id)
    page = await client.batch_jobs(batch_id, state=members or None, cursor=cursor or None, limit=ROWS)
    return {
        "batch": batch,
        "rows": page.items,
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "members": members,
        "words": batch_words,
    }


BATCH = View("batch.html", read_batch, "batches")


@get("/batches/{batch_id:str}")
async def show_batch(visit: Visit, batch_id: FromPath[str]) -> Response[Any]:
    """Show one batch."""
    return await visit.show(
        BATCH, batch_id=batch_id, members=visit.choice("members", FILTERS, ""), cursor=visit.text("cursor")
    )


@post("/batches/{batch_id:str}/close")
async def close_batch(visit: Visit, batch_id: FromPath[str]) -> Response[bytes]:
    """Close a batch."""
    doing = visit.client.close_batch(batch_id)
    return await visit.act(doing, back=_path(batch_id), done=lambda found: f"{found.name} is {found.state}.")


@post("/batches/{batch_id:str}/cancel")
async def cancel_batch(visit: Visit, batch_id: FromPath[str]) -> Response[bytes]:
    """Cancel a batch."""
    doing = visit.client.cancel_batch(batch_id)
    return await visit.act(doing, back=_path(batch_id), done=lambda found: f"{found.name} is {found.state}.")


def _path(batch_id: str) -> str:
    return f"/batches/{batch_id}"


HANDLERS = (show_batch, close_batch, cancel_batch)
"""The functions that answer."""
