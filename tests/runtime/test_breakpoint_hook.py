"""A breakpoint in a process without a terminal is passed over, and says what it needs."""

import sys

import pytest
from structlog.testing import capture_logs

from millstream_runtime.breakpoint_hook import HANDLER_PROCESS, SUPERVISED, VARIABLE, breakpoint_environ


@pytest.mark.parametrize(("hook", "hint"), [(SUPERVISED, "millstream worker"), (HANDLER_PROCESS, "isolation")])
def test_a_breakpoint_says_where_it_is_and_what_it_needs(monkeypatch: pytest.MonkeyPatch, hook: str, hint: str) -> None:
    """The handler goes on, and a line of the log has the place and what to do."""
    monkeypatch.setattr(sys, "breakpointhook", sys.__breakpointhook__)
    monkeypatch.setenv(VARIABLE, hook)
    with capture_logs() as logs:
        breakpoint()
    assert [(line["event"], line["log_level"]) for line in logs] == [("breakpoint passed over", "warning")]
    assert "test_breakpoint_hook.py:" in logs[0]["at"]
    assert hint in logs[0]["hint"]


def test_the_users_own_debugger_stays() -> None:
    """What the user has set for breakpoints, such as a debugger that listens on a port, is not replaced."""
    assert breakpoint_environ({"A": "1"}, SUPERVISED) == {"A": "1", VARIABLE: SUPERVISED}
    assert breakpoint_environ({VARIABLE: "web_pdb.set_trace"}, SUPERVISED) == {VARIABLE: "web_pdb.set_trace"}
