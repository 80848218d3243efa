"""A mail server on loopback that keeps what it gets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope


class SmtpSink:
    """Keeps the mails it gets, and refuses what it is told to."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.connections = 0
        self.refusals: dict[str, str] = {}
        """Answer to RCPT by address."""
        self.data_answer = "250 kept"
        self.before_data: Callable[[], Awaitable[None]] | None = None

    async def handle_RCPT(self, _s: Any, _c: Any, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """Answer RCPT."""
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: Any, _c: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """Answer DATA."""
        if self.before_data is not None:
            await self.before_data()
        if self.data_answer.startswith("2"):
            self.mails.append(envelope)
        return self.data_answer

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator[int]:
        """Serve on a free port. Yields: the port."""

        def accept() -> SMTP:
            self.connections += 1
            return SMTP(self, hostname="sink", enable_SMTPUTF8=True, **options)

        server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
