"""Carries one API call through refusals and lost answers: the client's whole retry policy is here.

A request that may have been carried out is sent again only if a repetition does no harm.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar
from urllib.parse import urlencode

from msgspec import Struct
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from millstream.answer_reader import explain, read_answer
from millstream.conversation import Answer, Conversation, NoAnswer, Reply, Request
from millstream_contracts import Backoff

T = TypeVar("T")

MSGPACK = "application/vnd.msgpack"

_BACKOFF = Backoff(kind="exponential", base_s=0.1, cap_s=5.0)

_REFUSED_UNDONE = frozenset({429, 503})
"""The service says that it did nothing and that a later request may succeed."""

_LOST_BEHIND_PROXY = frozenset({502, 504})
"""A proxy says that it got no answer; whether the service acted is unknown."""


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """One call of the API, and how its answer reads."""

    method: str = "GET"
    path: str
    answer: type[T]
    query: Mapping[str, str | int | None] = {}
    """What is None is left out."""
    content: bytes | None = None
    headers: Mapping[str, str] = {}
    repeatable: bool = True
    """Whether doing it twice is the same as doing it once."""
    hold_s: float = 0.0
    """How long the server may hold its answer back (`?wait=`)."""
    welcome: frozenset[int] = frozenset({200, 201, 202, 207})


class Caller:
    """Turns calls into conversations with one service."""

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
        self._retry_for_s = retry_for_s
        self._timeout_s = timeout_s
        self._headers = {"accept": MSGPACK, **headers}

    def converse(self, call: Call[T], *, delay_s: float = 0.0, until: float = math.inf) -> Conversation[T]:
        """Make a call, again and again within the retry window, which opens with the first failure.

        `until` is a moment of the clock after which neither a repetition nor a held answer is of use.
        Raises: ApiError, the last refusal, when a repetition would be late, useless or harmful.
        """
        failures, give_up_at = 0, until
        request = self._request(call, delay_s, until)
        while True:
            reply = yield request
            if isinstance(reply, Answer) and reply.status in call.welcome:
                return read_answer(reply, call.answer, request.url)
            failures += 1
            if failures == 1:
                give_up_at = min(until, self.clock() + self._retry_for_s)
            error = explain(reply, request.url)
            # On top of Retry-After, or all that were turned away together would come back together.
            pause_s = (error.retry_after_s or 0.0) + _BACKOFF.delay_s(failures)
            if not _may_repeat(call, reply) or self.clock() + pause_s >= give_up_at:
                raise error
            request = self._request(call, pause_s, until)

    def _request(self, call: Call[T], delay_s: float, until: float) -> Request:
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
            answer_within_s=self._timeout_s + hold_s,
            delay_s=delay_s,
        )


def _may_repeat(call: Call[T], reply: Reply) -> bool:
    match reply:
        case NoAnswer(maybe_done=maybe_done):
            return call.repeatable or not maybe_done
        case Answer(status=status) if status in _REFUSED_UNDONE:
            return True
        case Answer(status=status) if status in _LOST_BEHIND_PROXY:
            return call.repeatable
    return False
