"""A mail server on loopback that keeps the mails that it receives."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope


class SmtpSink:
    """Keeps mails, and refuses what the test says."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.connections = 0
        self.open: set[asyncio.Transport] = set()
        """Connections that are open now."""
        self.refusals: dict[str, str] = {}
        """Answer to RCPT by address."""
        self.data_answer = "250 kept"
        self.before_data: Callable[[], Awaitable[None]] | None = None
        self.mail_answer = "250 OK"
        """Answer to MAIL FROM."""
        self.names: set[str | None] = set()
        """What clients called themselves in EHLO."""
        self.quits = 0
        self.before_quit: Callable[[], Awaitable[None]] | None = None

    async def handle_MAIL(self, _s: Any, session: Any, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """Respond to MAIL FROM."""
        self.names.add(session.host_name)
        if self.mail_answer.startswith("2"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.mail_answer

    async def handle_QUIT(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """Respond to QUIT."""
        self.quits += 1
        if self.before_quit is not None:
            await self.before_quit()
        return "221 Bye"

    async def handle_RCPT(self, _s: Any, _c: Any, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """Respond to RCPT."""
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: Any, _c: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd looks for this name
        """Respond to DATA."""
        if self.before_data is not None:
            await self.before_data()
        if self.data_answer.startswith("2"):
            self.mails.append(envelope)
        return self.data_answer

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
        """Serve on a free port, with TLS from the first byte if asked to. Yields: the port."""

        def accept() -> SMTP:
            self.connections += 1
            return _Connection(self, hostname="sink", **({"enable_SMTPUTF8": True} | options))

        server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0, ssl=tls)
        async with server:
            yield server.sockets[0].getsockname()[1]


class _Connection(SMTP):
    """A connection that the sink counts."""

    def connection_made(self, transport: Any) -> None:
        """Count this connection as open."""
        self.event_handler.open.add(transport)
        self.seen = transport
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Count this connection as closed."""
        self.event_handler.open.discard(self.seen)
        super().connection_lost(error)
