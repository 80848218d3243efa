"""The exit status of commands: one table, in the code and on the page."""

import re
from pathlib import Path

import pytest

from millstream import ApiError, MillstreamError, UnavailableError, WaitTimeoutError
from millstream_cli.client.connection import client_exit_code
from millstream_cli.errors import NoRedisError
from millstream_cli.exit_codes import ExitCode, exit_code_of
from millstream_contracts import Problem
from millstream_history import HistoryError, HistoryUnavailableError
from millstream_runtime import SettingsError
from millstream_streams import StoreUnavailableError, UnsuitableRedisError

PAGE = Path(__file__).parents[2] / "docs/command-line.md"
PROBLEM = Problem(type="about:blank", title="x", status=404)


def test_page_has_the_table_of_the_code() -> None:
    """What a script finds on the page is what commands do."""
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(str(int(code)), code.meaning) for code in ExitCode]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailableError("away"), ExitCode.UNREACHABLE),
        (StoreUnavailableError("a wrong password", "refused"), ExitCode.FAILED),
        (UnsuitableRedisError("it evicts"), ExitCode.FAILED),
        (HistoryUnavailableError("away", "away"), ExitCode.UNREACHABLE),
        (HistoryError("no right", "refused"), ExitCode.FAILED),
        (SettingsError(["x"]), ExitCode.USAGE),
        (NoRedisError(), ExitCode.FAILED),
    ],
    ids=lambda value: getattr(value, "name", repr(value)),
)
def test_status_tells_what_is_away_from_what_is_wrong(error: Exception, code: ExitCode) -> None:
    """A script repeats a command only where that can help."""
    assert (exit_code_of(error), client_exit_code(error)) == (code, code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WaitTimeoutError("it goes on"), ExitCode.UNFINISHED),
        (UnavailableError(PROBLEM), ExitCode.UNREACHABLE),
        (ApiError(PROBLEM), ExitCode.REFUSED),
        (TypeError("ids or a type"), ExitCode.USAGE),
        (ValueError("no key"), ExitCode.USAGE),
        (FileNotFoundError("payload.json"), ExitCode.USAGE),
        (MillstreamError("anything else"), ExitCode.FAILED),
    ],
    ids=lambda value: getattr(value, "name", repr(value)),
)
def test_status_of_a_client_command_tells_who_refused(error: Exception, code: ExitCode) -> None:
    """A job that died, a request that the API refuses and a wait that is over are three things."""
    assert client_exit_code(error) == code
