"""The clients of a test: `Client` and `SyncClient` whose requests the kit answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn
from urllib.parse import quote

from millstream import Client, SyncClient, WaitTimeoutError
from millstream.client.api import Api
from millstream.client.batch_api import BatchApi
from millstream.client.flow import ApiFlow
from millstream.client.retrier import Call, Retrier
from millstream_contracts import BatchState, BatchStatus, Job
from millstream_testing.errors import TestingError
from millstream_testing.surface.endpoint import Answer, Endpoint
from millstream_testing.virtual_clock import VirtualClock

URL = "http://test-kit"

_LONGEST_WAIT_S = 30 * 86_400.0
_NO_STREAM = "the test kit has no stream of events: `updates()` of one job works, and `t.run` runs jobs"


class _AsyncHttp:
    """Stands for an HTTP client. Its requests are answered on the loop of the kit, from whichever loop they come."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint = endpoint
        self._loop = loop

    async def request(self, **options: Any) -> Answer:
        """Have a request answered."""
        answer = self._endpoint.respond(options["method"], options["url"], options["headers"], options["content"])
        if asyncio.get_running_loop() is self._loop:
            return await answer
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, self._loop))

    def stream(self, **_: Any) -> NoReturn:
        """Raise TestingError."""
        raise TestingError(_NO_STREAM)

    async def aclose(self) -> None:
        """Close nothing."""


class _SyncHttp:
    """Stands for an HTTP client without an event loop."""

    def __init__(self, endpoint: Endpoint, call: Callable[..., Any]) -> None:
        self._endpoint = endpoint
        self._call = call

    def request(self, **options: Any) -> Any:
        """Have a request answered."""
        arguments = options["method"], options["url"], options["headers"], options["content"]
        return self._call(lambda: self._endpoint.respond(*arguments))

    def stream(self, **_: Any) -> NoReturn:
        """Raise TestingError."""
        raise TestingError(_NO_STREAM)

    def close(self) -> None:
        """Close nothing."""


class KitClient(Client):
    """A client whose jobs run in the test. It waits for them by the clock of the kit."""

    def __init__(self, endpoint: Endpoint, clock: VirtualClock) -> None:
        """To be made on the event loop of the kit."""
        super().__init__(URL, http=_AsyncHttp(endpoint, asyncio.get_running_loop()))
        self._api = _api(clock)

    async def updates(self, job_id: str) -> AsyncIterator[Job]:
        """Yield a job as it is now, and once more when it has settled, waiting for that by the clock of the kit."""
        job = await self.get(job_id)
        yield job
        if not job.state.is_settled:
            yield await self.wait(job_id, _LONGEST_WAIT_S)


class KitSyncClient(SyncClient):
    """The same for programs without an event loop."""

    def __init__(self, endpoint: Endpoint, clock: VirtualClock, call: Callable[..., Any]) -> None:
        """`call` runs an async function on the event loop of the kit and returns what it returns."""
        super().__init__(URL, http=_SyncHttp(endpoint, call))
        self._api = _api(clock)

    def updates(self, job_id: str) -> Iterator[Job]:
        """Yield a job as it is now, and once more when it has settled, waiting for that by the clock of the kit."""
        job = self.get(job_id)
        yield job
        if not job.state.is_settled:
            yield self.wait(job_id, _LONGEST_WAIT_S)


class _KitBatchApi(BatchApi):
    """The calls about batches, of which a wait is one request: the kit runs the members until then."""

    def wait(self, batch_id: str, timeout_s: float) -> ApiFlow[BatchStatus]:
        """Read a batch once it is closed and every member has settled. Raises: WaitTimeoutError."""
        call = Call(path=f"/v1/batches/{quote(batch_id, safe='')}", returns=BatchStatus, query={"wait": str(timeout_s)})
        found = yield from self._retrier.flow(call)
        if not (found.state is BatchState.STALLED or found.state.is_terminal):
            raise WaitTimeoutError(f"batch {batch_id} is {found.state} after {timeout_s:g} s; it goes on")
        return found


def _api(clock: VirtualClock) -> Api:
    retrier = Retrier(URL, retry_for_s=0.0, timeout_s=30.0, headers={}, clock=clock.now_s)
    api = Api(retrier)
    api.batches = _KitBatchApi(retrier)
    return api
