"""Chooses how the lines of supervised processes are printed, and keeps the printer going."""

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

import anyio

from millstream_cli.rendering.line_printer import LinePrinter
from millstream_cli.rendering.people_printer import PeoplePrinter
from millstream_runtime.breakpoint_hook import SUPERVISED, breakpoint_environ

MESSAGES_VARIABLE = "MILLSTREAM_LOG_ERROR_MESSAGES"

Printer = LinePrinter | PeoplePrinter


def printer_for(stream: TextIO, names: Sequence[str], *, hidden: Container[str] = ()) -> Printer:
    """Return a printer for people on a terminal, and one that leaves lines as they are anywhere else.

    People are not shown the events of `hidden`.
    """
    return PeoplePrinter(stream, names, hidden=hidden) if stream.isatty() else LinePrinter(stream, names)


def environ_for(stream: TextIO, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for processes whose lines are printed there: for people with the messages of errors.

    A stored log has them only where its owner says so, because they may quote what users have sent. The processes have
    no terminal of their own, so breakpoints are passed over.
    """
    return breakpoint_environ({**({MESSAGES_VARIABLE: "true"} if stream.isatty() else {}), **environ}, SUPERVISED)


async def show_until_cancelled(printer: Printer) -> NoReturn:
    """Let the printer say each second what it has counted."""
    while True:
        await anyio.sleep(1.0)
        with suppress(OSError):  # a terminal that was closed; SIGHUP is what stops the program then
            printer.tick()
