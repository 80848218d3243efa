"""A handler for a job type of which the app has only the contract: what a stub of it stands in for."""

from typing import Any

from millstream import App, Handler, JobRef
from millstream_testing.errors import TestingError


def stand_in(ref: JobRef[Any, Any]) -> Handler[Any, Any]:
    """Return a handler that takes and gives what a reference says."""

    async def unstubbed(payload: Any) -> Any:  # noqa: ARG001 - its annotations are what counts
        raise TestingError(f"`{ref.type}` is handled elsewhere, and its stub has nothing more to do")

    unstubbed.__annotations__ = {"payload": ref.takes, "return": ref.gives}
    handler: Handler[Any, Any] = App("elsewhere").job(ref.type)(unstubbed)
    return handler
