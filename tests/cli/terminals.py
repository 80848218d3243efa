"""Runs the program on a terminal, as a person does."""

import os
import pty
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import click
from cli.commands import environment, program

ROWS = 40


class Seen(NamedTuple):
    """What a program has shown on its terminal, and its exit status."""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        """Return the lines without colours."""
        return [line.rstrip() for line in click.unstyle(self.text).replace("\r", "").splitlines()]


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self._master = master
        self._shown = b""

    def type(self, text: str) -> None:
        """Type as a person does."""
        os.write(self._master, text.encode())

    def read_until(self, words: str) -> str:
        """Read until these words have been shown, or the program has ended; return all that was shown so far."""
        while words.encode() not in self._shown and self._read_on():
            pass
        return self._shown.decode()

    def read_to_the_end(self) -> Seen:
        """Read until the program has ended."""
        while self._read_on():
            pass
        return Seen(self.process.wait(60), self._shown.decode())

    def _read_on(self) -> bool:
        with suppress(OSError):  # EIO: the program has ended
            chunk = os.read(self._master, 65_536)
            self._shown += chunk
            return bool(chunk)
        return False


@contextmanager
def on_terminal(*words: str, columns: int = 80, cwd: Path | None = None, **environ: str) -> Iterator[Terminal]:
    """Run the program on a terminal of so many columns for as long as the block lasts."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (ROWS, columns))
    settings = {name: value for name, value in environment(**environ).items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        program(*words),
        cwd=cwd,
        env={"TERM": "xterm-256color", **settings},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait(30)
        os.close(master)


def run_on_terminal(*words: str, answer: str = "", columns: int = 80, **environ: str) -> Seen:
    """Run the program on a terminal to its end, with an answer typed ahead."""
    with on_terminal(*words, columns=columns, **environ) as terminal:
        terminal.type(answer)
        return terminal.read_to_the_end()
