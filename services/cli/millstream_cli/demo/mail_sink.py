"""A mail server on this machine that keeps every message as a file."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


class _Keeper:
    """Writes each message it is given to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        content = envelope.original_content or b""
        # A name of its own for each: a job that ran twice sent two mails, and that should show.
        (self._folder / f"{secrets.token_hex(8)}.eml").write_bytes(content)
        return "250 kept"


@asynccontextmanager
async def mail_sink(folder: Path) -> AsyncIterator[int]:
    """Take mail into a folder, which must exist, for as long as the block lasts. Yields: the port."""
    keeper = _Keeper(folder)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(keeper, hostname="demo"), HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def message_ids(folder: Path) -> list[str]:
    """Return the Message-ID of every mail that was kept, each as often as it came."""
    return [str(message_from_bytes(file.read_bytes())["Message-ID"]) for file in folder.glob("*.eml")]
