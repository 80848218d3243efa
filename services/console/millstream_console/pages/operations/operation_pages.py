"""The list of operations, and one operation."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import ApiError, Client
from millstream_console.live.view import Content, View
from millstream_console.pages.operations import telling
from millstream_console.pages.operations.written import read_written
from millstream_console.reading.past import Absence, absence_in
from millstream_console.web.visit import Visit

_NEWEST = 50
_DONE = {
    "pause": "Paused. The jobs that are under way are finished.",
    "resume": "It goes on.",
    "cancel": "Ended. What it has done stays done.",
}


async def read_operations(client: Client) -> Content:
    """Return the newest operations; None without a history."""
    try:
        operations = await client.operations(limit=_NEWEST)
    except ApiError as error:
        if absence_in(error) is not Absence.NONE:
            raise
        operations = None
    return {"operations": operations, "tell": telling}


async def read_operation(client: Client, *, operation_id: str) -> Content:
    """Return an operation as it is now, and what an export has written."""
    operation = await client.operation(operation_id)
    return {"operation": operation, "tell": telling, "written": await read_written(client, operation)}


OPERATIONS = View("operations.html", read_operations, "operations")
OPERATION = View("operation.html", read_operation, "operations")


@get("/operations")
async def show_operations(visit: Visit) -> Response[Any]:
    """Show the newest operations."""
    return await visit.show(OPERATIONS)


@get("/operations/{operation_id:str}")
async def show_operation(visit: Visit, operation_id: FromPath[str]) -> Response[Any]:
    """Show one operation."""
    return await visit.show(OPERATION, operation_id=operation_id)


@post("/operations/{operation_id:str}/pause")
async def pause(visit: Visit, operation_id: FromPath[str]) -> Response[bytes]:
    """Pause an operation."""
    return await _steered(visit, operation_id, "pause")


@post("/operations/{operation_id:str}/resume")
async def resume(visit: Visit, operation_id: FromPath[str]) -> Response[bytes]:
    """Let a paused operation go on."""
    return await _steered(visit, operation_id, "resume")


@post("/operations/{operation_id:str}/cancel")
async def cancel(visit: Visit, operation_id: FromPath[str]) -> Response[bytes]:
    """End an operation."""
    return await _steered(visit, operation_id, "cancel")


async def _steered(visit: Visit, operation_id: str, doing: str) -> Response[bytes]:
    client = visit.client
    steer = {"pause": client.pause_operation, "resume": client.resume_operation, "cancel": client.cancel_operation}
    return await visit.act(steer[doing](operation_id), back=f"/operations/{operation_id}", done=_DONE[doing])


HANDLERS: tuple[Any, ...] = (show_operations, show_operation, pause, resume, cancel)
