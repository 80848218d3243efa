"""The program of a handler process: reads orders from its worker, runs handlers, reports back.

It ends with its worker: a thread waits on the pipe of orders, and its end is the end of the process, even while
a handler computes.
"""

import os
import queue
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
from millstream_contracts import JobId, JobSpec, Progress
from millstream_workers.app_loader import load_app, merge_apps
from millstream_workers.failure import describe_failure
from millstream_workers.frames import (
    HEADER,
    Order,
    ProgressReport,
    RaiseReport,
    Report,
    ReturnReport,
    decode_order,
    encode_frame,
)

_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode


def main(app_refs: list[str]) -> None:
    """Serve orders until the worker is gone."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    reports = os.fdopen(os.dup(1), "wb")
    # What a handler prints must not end up between the reports.
    os.dup2(2, 1)
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(sys.stdin.buffer, orders), daemon=True).start()
    anyio.run(_serve, merge_apps(load_app(ref) for ref in app_refs), orders, reports)


def _read_orders(pipe: BinaryIO, orders: "queue.SimpleQueue[Order]") -> None:
    while header := pipe.read(HEADER.size):
        (length,) = HEADER.unpack(header)
        orders.put(decode_order(pipe.read(length)))
    os._exit(0)


async def _serve(app: App, orders: "queue.SimpleQueue[Order]", reports: BinaryIO) -> None:
    def send(report: Report) -> None:
        reports.write(encode_frame(report))
        reports.flush()

    states: dict[App, Any] = {}
    send(ReturnReport(None))  # loaded and ready
    async with AsyncExitStack() as lifespans:
        while True:
            order = await anyio.to_thread.run_sync(orders.get)
            handler = app.handlers[order.job_type]
            if handler.app not in states:
                states[handler.app] = await lifespans.enter_async_context(handler.app.running())
            send(await _run(handler, order, states[handler.app], send))


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
    given = (handler.decode(spec.payload),) if handler.signature.takes_payload else ()
    arguments = (*given, context) if handler.signature.takes_context else given
    try:
        value = handler.function(*arguments)
        if hasattr(value, "__await__"):
            value = await value
        return ReturnReport(msgspec.to_builtins(value, builtin_types=(bytes,)))
    except RetryAfter as wish:
        return RaiseReport("RetryAfter", wish.delay_s)
    except Snooze as wish:
        return RaiseReport("Snooze", wish.delay_s)
    except (Discard, Dead) as wish:
        return RaiseReport(type(wish).__name__, wish.reason)
    except Exception as error:  # noqa: BLE001 - a handler may raise anything, and that is an outcome
        return RaiseReport("error", error=describe_failure(error, order.attempt))


if __name__ == "__main__":
    main(sys.argv[1:])
