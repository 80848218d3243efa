"""The exit status of every command: one table, which docs/command-line.md shows."""

from enum import IntEnum

from millstream_contracts import ForeseenError


class ExitCode(IntEnum):
    """What a status says to the script that reads it."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNFINISHED = 4
    REFUSED = 5
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """Return the meaning as one sentence, as the page has it."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "Done. With `--wait`: the job has succeeded.",
    ExitCode.FAILED: "Failed. With `--wait`: the job is dead, cancelled or expired. `check`, `doctor`: not well.",
    ExitCode.USAGE: "Wrong words, options, settings or files. Nothing was done.",
    ExitCode.UNREACHABLE: "The API, Redis or PostgreSQL does not answer, or cannot serve now. It may succeed later.",
    ExitCode.UNFINISHED: "The time of `--wait` is over. The job goes on.",
    ExitCode.REFUSED: "The API has refused the request, or a part of it: a wrong payload, no such job, a wrong state.",
    ExitCode.INTERRUPTED: "Interrupted by Ctrl-C.",
}


def exit_code_of(error: Exception) -> int:
    """Return the status that an error of any command ends it with."""
    own = getattr(error, "exit_code", None)
    if own is not None:
        return int(own)
    is_away = isinstance(error, ForeseenError) and error.reason == "away"
    return ExitCode.UNREACHABLE if is_away else ExitCode.FAILED
