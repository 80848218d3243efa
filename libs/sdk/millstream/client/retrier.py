"""The retry policy of the clients: which requests are sent again, when, and until when.

A request that the service may have carried out is sent again only if a repetition does no harm.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar
from urllib.parse import urlencode

from msgspec import Struct
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from millstream.client.flow import ApiFlow, NoResponse, Reply, Request, Response
from millstream.client.response_reader import explain, read_response
from millstream.errors import ApiError
from millstream_contracts import Backoff

T = TypeVar("T")

MSGPACK = "application/vnd.msgpack"

_BACKOFF = Backoff(kind="exponential", base_s=0.1, cap_s=5.0)

_REFUSED_UNDONE = frozenset({429, 503})
"""The service did nothing, and a later request may succeed."""

_LOST_BEHIND_PROXY = frozenset({502, 504})
"""A proxy got no response from the service, which may have acted all the same."""


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """One call of the API, and the type that its response is decoded to."""

    method: str = "GET"
    path: str
    returns: type[T]
    query: Mapping[str, str | int | None] = {}
    """Parameters that are None are left out."""
    content: bytes | None = None
    headers: Mapping[str, str] = {}
    repeatable: bool = True
    """Whether the call may be sent again although the service may have carried it out."""
    hold_s: float = 0.0
    """How long the server may hold its response back (`?wait=`)."""
    good_statuses: frozenset[int] = frozenset({200, 201, 202, 207})


class Retrier:
    """Makes flows of calls to one service, in which requests are repeated."""

    def __init__(
        self,
        base_url: str,
        *,
        retry_for_s: float,
        timeout_s: float,
        headers: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._base_url = base_url.rstrip("/")
        self.retry_for_s = retry_for_s
        self._timeout_s = timeout_s
        self._headers = {"accept": MSGPACK, **headers}

    def flow(self, call: Call[T], *, delay_s: float = 0.0, until: float = math.inf) -> ApiFlow[T]:
        """Return the flow of a call, which repeats it within the retry window.

        The window opens with the first failure. `until` is a moment of the clock after which neither a repetition nor
        a response that is held back is of use. Raises: ApiError, the last refusal, when a repetition would be late,
        useless or harmful.
        """
        response, url = yield from self.answer(call, delay_s=delay_s, until=until)
        return read_response(response, call.returns, url)

    def answer(self, call: Call[T], *, delay_s: float = 0.0, until: float = math.inf) -> ApiFlow[tuple[Response, str]]:
        """As :meth:`flow`, for a response of which more is read than its content; with its URL."""
        failures, give_up_at = 0, until
        request = self.request(call, delay_s, until)
        while True:
            reply = yield request
            if isinstance(reply, Response) and reply.status in call.good_statuses:
                return reply, request.url
            failures += 1
            if failures == 1:
                give_up_at = min(until, self.clock() + self.retry_for_s)
            error = explain(reply, request.url)
            pause_s = self.pause_s(error, failures)
            if not may_repeat(call, reply) or self.clock() + pause_s >= give_up_at:
                raise error
            request = self.request(call, pause_s, until)

    def pause_s(self, error: ApiError, failures: int) -> float:
        """Return how long to wait after so many failures in a row, of which this one is the last."""
        # The random part comes on top of Retry-After: clients that were refused together come back apart.
        return (error.retry_after_s or 0.0) + _BACKOFF.delay_s(failures)

    def request(self, call: Call[T], delay_s: float = 0.0, until: float = math.inf) -> Request:
        """Return a request of a call, to be sent after a delay."""
        headers = {**self._headers, **call.headers}
        if call.content is not None:
            headers["content-type"] = MSGPACK
        TraceContextTextMapPropagator().inject(headers)
        query = {name: value for name, value in call.query.items() if value is not None}
        hold_s = max(0.0, min(call.hold_s, until - self.clock() - delay_s))
        if call.hold_s:
            query["wait"] = f"{hold_s:.3f}".rstrip("0").rstrip(".")
        return Request(
            method=call.method,
            url=f"{self._base_url}{call.path}" + (f"?{urlencode(query)}" if query else ""),
            headers=headers,
            content=call.content,
            response_within_s=self._timeout_s + hold_s,
            delay_s=delay_s,
        )


def may_repeat(call: Call[T], reply: Reply) -> bool:
    """Return whether a call without success may be sent again."""
    match reply:
        case NoResponse(maybe_done=maybe_done):
            return call.repeatable or not maybe_done
        case Response(status=status) if status in _REFUSED_UNDONE:
            return True
        case Response(status=status) if status in _LOST_BEHIND_PROXY:
            return call.repeatable
    return False
