"""What an export has written: the result of its job, which says where the file lies."""

from collections.abc import Mapping

from msgspec import Struct

from millstream import ApiError, BulkOperation, Client, OperationState
from millstream_console.reading.kept import kept

_KEEP_S = 60.0


class Written(Struct, frozen=True):
    """A file of jobs."""

    path: str
    format: str
    rows: int
    bytes: int
    sha256: str
    is_whole: bool
    """Whether all that was asked for is in it."""
    gaps: int | None
    """How many times it lacks of which events were lost; None where that is not known."""


async def read_written(client: Client, operation: BulkOperation) -> Written | None:
    """Return the file of an export that has ended; None for others, and where its result is not to be had."""
    if operation.kind != "export" or operation.state is not OperationState.DONE or not operation.job_id:
        return None
    job_id = operation.job_id

    async def read() -> Written | None:
        try:
            return written_of((await client.get(job_id)).result)
        except ApiError:
            return None

    return await kept(client, ("written", job_id), _KEEP_S, read)


def written_of(result: object) -> Written | None:
    """Return what the result of `data.export` says; None for another one."""
    if not isinstance(result, Mapping) or not isinstance(result.get("path"), str):
        return None
    gaps, rows, size = result.get("gaps"), result.get("rows"), result.get("bytes")
    return Written(
        path=result["path"],
        format=str(result.get("format", "")),
        rows=rows if isinstance(rows, int) else 0,
        bytes=size if isinstance(size, int) else 0,
        sha256=str(result.get("sha256", "")),
        is_whole=result.get("whole") is not False,
        gaps=len(gaps) if isinstance(gaps, list) else None,
    )
