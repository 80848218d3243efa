"""Runs commands inside of the test, which is fast, or as processes, where the process is under test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result
from system.running import PATIENT

from millstream_cli.exit_codes import ExitCode
from millstream_cli.main import main
from millstream_cli.parent_watch import guarded
from millstream_runtime import read_announcement

NO_API = "http://127.0.0.1:9"
"""An address where nothing listens."""

FAILURES = {ExitCode.FAILED, ExitCode.USAGE, ExitCode.REFUSED}

_OURS = ("MILLSTREAM_", "OTEL_")


def run(*words: str, stdin: str | bytes | None = None, **environ: str) -> Result:
    """Run a command in this process; only the variables of `environ` configure it."""
    unset = {name: None for name in os.environ if name.startswith(_OURS)}
    return CliRunner(env={**unset, **environ}).invoke(main, words, input=stdin, prog_name="millstream")


def refused(result: Result, *says: str, code: int | None = None) -> str:
    """Check that a command failed with a clear line and without a traceback. Return that line.

    Frames of the user's own code may stand below it.
    """
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (FAILURES if code is None else {code}), result.output
    assert result.stdout == "", result.stdout
    assert "Traceback" not in result.stderr, result.stderr
    lines = [line for line in result.stderr.strip().splitlines() if not line.startswith("millstream:   ")]
    # What click refuses stands below a line of usage and one about --help.
    assert len(lines) == 1 or lines[0].startswith("Usage: millstream"), result.stderr
    assert lines[-1].startswith(("millstream: ", "Error: ")), lines[-1]
    for words in says:
        assert words in lines[-1], lines[-1]
    return lines[-1]


def environment(**environ: str) -> dict[str, str]:
    """Return the environment of a process that only `environ` configures, but for the patience of an ingest."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | PATIENT | environ


def program(*words: str) -> list[str]:
    """Return the command line of the installed program."""
    return [str(Path(sys.executable).with_name("millstream")), *words]


def run_program(*words: str, cwd: Path | None = None, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    return subprocess.run(
        program(*words),
        cwd=cwd,
        env=environment(**environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def address_in(log: Path) -> str:
    """Return where the service with this log listens, or nothing until it has logged that."""
    lines = log.read_text().splitlines() if log.exists() else []
    return next((said.url for line in lines if (said := read_announcement(line))), "")


@contextmanager
def started_program(*words: str, log: Path, cwd: Path | None = None, **environ: str) -> Iterator["subprocess.Popen"]:
    """Run the program while the block lasts; its output is in the log."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            guarded(program(*words)),
            cwd=cwd,
            env=environment(**environ),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
