"""Reads the orders of the worker in a thread of its own, because a handler may compute when one arrives."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable

from millstream_contracts import UNDECODABLE
from millstream_workers.isolation.frames import (
    AnswerPart,
    AnyOrder,
    FrameBuffer,
    Order,
    StackOrder,
    StopOrder,
    decode_order,
)

THREAD_NAME = "millstream-orders"


class OrderReader:
    """Hands orders to the loop, and all else to `stop`, `tell_stack` and `answer`, called in the reader's thread.

    The end of the channel ends a busy process, because its worker has died.
    """

    def __init__(
        self,
        channel: socket.socket,
        loop: asyncio.AbstractEventLoop,
        stop: Callable[[int], None],
        *,
        tell_stack: Callable[[int], None],
        answer: Callable[[AnswerPart], None],
    ) -> None:
        self._channel = channel
        self._loop = loop
        self._stop = stop
        self._tell_stack = tell_stack
        self._answer = answer
        self.is_busy = False
        """Whether a job runs. The report of its end resets it."""
        self._orders: asyncio.Queue[Order | None] = asyncio.Queue()
        threading.Thread(target=self._read, name=THREAD_NAME, daemon=True).start()

    async def next(self) -> Order | None:
        """Wait for the next order. Returns: None when there will be none."""
        return await self._orders.get()

    def _read(self) -> None:
        received = FrameBuffer()
        try:
            while data := self._channel.recv(65_536):
                received.feed(data)
                while (body := received.take()) is not None:
                    self._take(decode_order(body))
        except (OSError, ValueError, *UNDECODABLE):
            pass  # the worker has died, or a handler has closed the channel or written into it
        if self.is_busy:
            os._exit(1)
        self._put(None)

    def _take(self, order: AnyOrder) -> None:
        match order:
            case AnswerPart():
                self._answer(order)
            case StopOrder(number):
                self._stop(number)
            case StackOrder(number):
                self._tell_stack(number)
            case Order():
                self.is_busy = True
                self._put(order)

    def _put(self, order: Order | None) -> None:
        self._loop.call_soon_threadsafe(self._orders.put_nowait, order)
