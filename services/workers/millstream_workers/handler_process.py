"""The program of a handler process: reads orders from its worker, runs handlers, reports back.

It ends with its worker: a thread waits on the pipe of orders, and its end is the end of the process, even while
a handler computes.
"""

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, BinaryIO

import anyio
import anyio.to_thread
import msgspec
import structlog

from millstream import App, Context, Dead, Discard, RetryAfter, Snooze
from millstream.handler import Handler
from millstream_contracts import UNDECODABLE, JobId, JobSpec, Progress
from millstream_workers.app_loader import load_app, merge_apps
from millstream_workers.failure import describe_failure, printable
from millstream_workers.frames import (
    HEADER,
    FailureReport,
    Order,
    ProgressReport,
    ReadyReport,
    Report,
    ReturnReport,
    WishReport,
    decode_order,
    encode_frame,
)
from millstream_workers.results import encode_result

_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode


def main(app_refs: list[str]) -> None:
    """Serve orders until the worker is gone."""
    orders = os.fdopen(os.dup(0), "rb")
    reports = os.fdopen(os.dup(1), "wb")
    _keep_pipes_to_ourselves()
    for number in (signal.SIGTERM, signal.SIGINT):
        # The worker drains, and ends us when it is done. Not SIG_IGN, which the programs of a handler would inherit.
        signal.signal(number, lambda *_: None)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    inbox = Inbox(orders)
    anyio.run(_serve, merge_apps(load_app(ref) for ref in app_refs), inbox, reports)


def _keep_pipes_to_ourselves() -> None:
    """Point standard input at nothing, and standard output at the error output.

    What a handler prints must not end up between the reports, and a program it runs must not read the orders.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)


class Inbox:
    """Orders, read by a thread of their own; None at their end."""

    def __init__(self, pipe: BinaryIO) -> None:
        self.is_busy = False
        self._pipe = pipe
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    async def next(self) -> Order | None:
        """Wait for the next order. Returns: None when the worker wants no more."""
        return await anyio.to_thread.run_sync(self._orders.get)

    def _read(self) -> None:
        while order := self._read_order():
            self._orders.put(order)
        if self.is_busy:
            os._exit(1)
        self._orders.put(None)

    def _read_order(self) -> Order | None:
        """Return the next order; None at the end, also at one in the middle of an order: its writer has died."""
        header = self._pipe.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        try:
            return decode_order(self._pipe.read(*HEADER.unpack(header)))
        except UNDECODABLE:
            return None


async def _serve(app: App, inbox: Inbox, reports: BinaryIO) -> None:
    def send(report: Report) -> None:
        reports.write(encode_frame(report))
        reports.flush()

    states: dict[App, Any] = {}
    send(ReadyReport())
    async with AsyncExitStack() as lifespans:
        while order := await inbox.next():
            inbox.is_busy = True
            send(ReadyReport())  # from here on the handler may have run
            handler = app.handlers[order.job_type]
            if handler.app not in states:
                states[handler.app] = await lifespans.enter_async_context(handler.app.running())
            send(await _run(handler, order, states[handler.app], send))
            inbox.is_busy = False


async def _run(handler: Handler[..., Any], order: Order, state: Any, send: Callable[[Report], None]) -> Report:
    spec = _decode_spec(order.spec)

    def note_progress(progress: Progress) -> None:
        send(ProgressReport(progress))

    context = Context(
        job_id=JobId(order.job_id),
        job_type=order.job_type,
        attempt=order.attempt,
        fence=order.fence,
        spec=spec,
        timeout_s=order.timeout_s,
        state=state,
        on_progress=note_progress,
    )
    try:
        value = handler.function(*handler.arguments(handler.decode(spec.payload), context))
        if hasattr(value, "__await__"):
            value = await value
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a handler may raise anything, and that is an outcome
        return _raised(error, order.attempt)
    try:
        return ReturnReport(encode_result(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return FailureReport(describe_failure(error, order.attempt), invalid_result=True)


def _raised(error: BaseException, attempt: int) -> Report:
    match error:
        case RetryAfter():
            return WishReport("retry_after", delay_s=float(error.delay_s))
        case Snooze():
            return WishReport("snooze", delay_s=float(error.delay_s))
        case Discard():
            return WishReport("discard", reason=printable(error.reason))
        case Dead():
            return WishReport("dead", reason=printable(error.reason))
        case _:
            return FailureReport(describe_failure(error, attempt))


if __name__ == "__main__":
    main(sys.argv[1:])
