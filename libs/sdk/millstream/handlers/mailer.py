"""Sends mails over a small pool of SMTP connections, one mail at a time on each.

A connection on which an error or a cancellation occurred is never used again.
"""

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage

import aiosmtplib
import anyio
from opentelemetry import trace

from millstream.handlers.settings import SmtpSettings

KEEP_IDLE_S = 5.0
"""How long an idle connection is kept. Servers close idle connections only after minutes."""

QUIT_WITHIN_S = 2.0
"""How long the server may take to answer QUIT."""


class Mailer:
    """A small pool of connections to one server. It belongs to one event loop."""

    def __init__(self, settings: SmtpSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._slots = anyio.Semaphore(settings.connections)
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    @property
    def sender(self) -> str:
        """The sender of mails without a `from`."""
        return self._settings.sender

    async def send(self, message: EmailMessage, sender: str, recipients: list[str]) -> dict[str, str]:
        """Send one mail. Returns: the refused recipients with the answers of the server, if it accepted others.

        Raises: aiosmtplib.SMTPException, OSError.
        """
        span = trace.get_tracer(__name__).start_as_current_span(
            "smtp send",
            kind=trace.SpanKind.CLIENT,
            attributes={"server.address": self._settings.host, "server.port": self._settings.port},
        )
        with span:
            async with self._slots, self._connection() as smtp:
                refused, _ = await smtp.send_message(message, sender=sender, recipients=recipients)
        return {address: f"{answer.code} {answer.message}" for address, answer in refused.items()}

    async def aclose(self) -> None:
        """Say QUIT on every idle connection, and close it."""
        while self._idle:
            smtp, _ = self._idle.pop()
            with anyio.move_on_after(QUIT_WITHIN_S), suppress(aiosmtplib.SMTPException):
                await smtp.quit()
            smtp.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        smtp = self._take_idle() or self._new()
        unharmed = False
        try:
            if not smtp.is_connected:
                await smtp.connect()
            yield smtp
            unharmed = True
        finally:
            if unharmed and smtp.is_connected:
                self._idle.append((smtp, self._clock()))
            else:
                smtp.close()

    def _take_idle(self) -> aiosmtplib.SMTP | None:
        while self._idle:
            smtp, since = self._idle.pop()
            if smtp.is_connected and self._clock() - since < KEEP_IDLE_S:
                return smtp
            smtp.close()
        return None

    def _new(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            # The default of the library asks DNS for the full name, which can hang without DNS.
            local_hostname=socket.gethostname(),
            timeout=settings.timeout_s,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            cert_bundle=settings.ca_file,
        )
