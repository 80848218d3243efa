"""Chooses how the lines of supervised processes are printed, and keeps the printer going."""

from collections.abc import Container, Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

import anyio

from millstream_cli.console.line_printer import LinePrinter
from millstream_cli.console.people_printer import PeoplePrinter

Printer = LinePrinter | PeoplePrinter


def printer_for(stream: TextIO, names: Sequence[str], *, hidden: Container[str] = ()) -> Printer:
    """Return a printer for people on a terminal, and one that leaves lines as they are anywhere else.

    People are not shown the events of `hidden`.
    """
    return PeoplePrinter(stream, names, hidden=hidden) if stream.isatty() else LinePrinter(stream, names)


async def show_until_cancelled(printer: Printer) -> NoReturn:
    """Let the printer say each second what it has counted."""
    while True:
        await anyio.sleep(1.0)
        with suppress(OSError):  # a terminal that was closed; SIGHUP is what stops the program then
            printer.tick()
