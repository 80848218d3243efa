"""Starts the embedded PostgreSQL of `up` and `demo`, its tables included; without PostgreSQL there is no history."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import click

from millstream_cli.errors import NoPostgresError, PostgresStartError
from millstream_cli.postgres.finder import PostgresPrograms, find_postgres
from millstream_cli.postgres.server import EmbeddedPostgres, start_embedded_postgres


async def start_history(
    folder: Path, stack: ExitStack, find: Callable[[], PostgresPrograms] = find_postgres
) -> str | None:
    """Start the server, which the stack ends, and migrate its tables. Returns: its address; None without PostgreSQL.

    Raises: PostgresStartError, FolderInUseError.
    """
    try:
        programs = await anyio.to_thread.run_sync(find)
        start = partial(start_embedded_postgres, folder, programs, look_up=anyio.from_thread.check_cancelled)
        server = stack.enter_context(await anyio.to_thread.run_sync(start))
    except NoPostgresError as error:
        click.echo(f"millstream: {error}; until then there is no history of jobs", err=True)
        return None
    await _migrate(server)
    return server.url


async def _migrate(server: EmbeddedPostgres) -> None:
    # `up` without a history starts without it.
    from millstream_history import HistoryError, migrate, open_history  # noqa: PLC0415

    try:
        await migrate(server.url)
        # Before the first row, and before a duty looks how many days there are.
        async with open_history(server.url) as history:
            await history.days.make(datetime.now(UTC).date())
    except HistoryError as error:
        raise PostgresStartError(f"the history in {server.folder} cannot be used: {error}") from error
