"""The log of several processes, rendered for people."""

import io
import json
import re
from typing import Any

import click
import pytest

from millstream_cli.rendering.choosing import printer_for
from millstream_cli.rendering.line_printer import LinePrinter
from millstream_cli.rendering.people_printer import SHOWN_SUCCESSES_A_SECOND, PeoplePrinter

JOB_ID = "shop.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"
ATTEMPT = {"event": "attempt finished", "job_id": JOB_ID, "type": "shop.send", "delivery": 1, "trace_id": "4bf9"}


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True

    @property
    def lines(self) -> list[str]:
        """Return the lines, without colours and times."""
        plain = click.unstyle(self.getvalue()).splitlines()
        assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in plain)
        return [line[len("00:00:00 ") :] for line in plain]


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return a terminal with colours."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@pytest.fixture
def printer(terminal: Terminal, clock: Clock) -> PeoplePrinter:
    """Return a printer on the terminal."""
    return PeoplePrinter(terminal, ["ingest", "worker-1"], hidden={"listening"}, clock=clock)


def logged(level: str = "info", **fields: Any) -> str:
    """Return a line as a service logs it."""
    return json.dumps({"level": level, "timestamp": "2026-11-27T00:26:33.5Z", "service": "workers", **fields})


@pytest.mark.parametrize(
    ("level", "fields", "said"),
    [
        ("info", {"attempt": 1, "outcome": "ok", "run_ms": 12.3}, "succeeded in 12 ms"),
        ("info", {"attempt": 3, "outcome": "ok", "run_ms": 2_500}, "succeeded in 2.5 s at attempt 3"),
        (
            "warning",
            {"attempt": 1, "outcome": "error", "error_type": "shop.BusyError", "delay_s": 0.5, "run_ms": 1},
            "attempt 1 failed with BusyError, again in 500 ms",
        ),
        (
            "warning",
            {"attempt": 2, "outcome": "error", "error_type": "ValueError", "error": "no [a]", "run_ms": 1},
            "attempt 2 failed with ValueError: no [a], now dead",
        ),
        (
            "warning",
            {"attempt": 3, "outcome": "error", "error_type": "ValueError", "run_ms": 1},
            "attempt 3 failed with ValueError, now dead",
        ),
        ("warning", {"attempt": 1, "outcome": "timeout", "run_ms": 30_000}, "attempt 1 timed out after 30 s, now dead"),
        ("warning", {"attempt": 1, "outcome": "lost"}, "lost: the lease ran out while it was running"),
        ("info", {"attempt": 1, "outcome": "handed_back"}, "handed back"),
        ("info", {"attempt": 1, "outcome": "snoozed"}, "snoozed"),
    ],
    ids=lambda value: value["outcome"] if isinstance(value, dict) else "",
)
def test_an_attempt_is_one_line_with_the_whole_id(terminal, printer, level, fields, said):
    """The line says what became of the job, however narrow the terminal is."""
    printer("worker-1", logged(level, **ATTEMPT, **fields))
    assert terminal.lines == [f"worker-1  {JOB_ID} {said}"]


def test_a_line_says_its_event_and_the_fields_that_people_need(terminal, printer):
    """Ids of spans, the service and the level are for programs."""
    printer("ingest", logged(event="draining", drain_s=1.0, ids=["a"], span_id="1", trace_id="2", logger="x"))
    assert terminal.lines == ['ingest    draining  drain_s=1.0  ids=["a"]']


def test_the_text_of_an_error_stands_without_its_type(terminal, printer):
    """A line has the text of an error without its type, because the text says the same in words."""
    printer(
        "ingest", logged("error", event="duty failed", error="Redis is away", error_type="StoreError", reason="away")
    )
    assert terminal.lines == ["ingest    duty failed  error=Redis is away"]


def test_a_traceback_is_printed_as_text(terminal, printer):
    """Line by line, below the event."""
    printer("ingest", logged("error", event="request crashed", exception="Traceback:\n  File x\nE: y"))
    assert terminal.lines == [
        "ingest    request crashed",
        "ingest    Traceback:",
        "ingest      File x",
        "ingest    E: y",
    ]


@pytest.mark.parametrize("line", ["hello", "{not json", '{"a": 1}', "[1]", '{"event": 3, "level": "x"}', ""])
def test_what_is_no_log_line_is_printed_as_it_is(terminal, printer, line):
    """A handler prints what it likes."""
    printer("worker-1", line)
    assert terminal.lines == [f"worker-1  {line}"]


def test_hidden_events_are_not_shown(terminal, printer):
    """Addresses stand in the banner."""
    printer("ingest", logged(event="listening", host="127.0.0.1", port=1))
    assert terminal.lines == []


def test_text_of_users_does_not_reach_the_terminal_as_an_order(terminal, printer):
    """A field may hold an escape sequence."""
    printer("worker-1", logged(event="a\x1b[2J", field="\x1b]0;x\x07", exception="\x9b2J"))
    assert "\x1b[2J" not in terminal.getvalue()
    assert not {"\x07", "\x9b"} & set(terminal.getvalue())


def test_brackets_are_no_markup(terminal, printer):
    """A name in brackets is printed with them."""
    printer("worker-1", logged(event="[bold]x[/]", names="[red]"))
    assert terminal.lines == ["worker-1  [bold]x[/]  names=[red]"]


def test_failures_are_coloured_and_successes_are_not_as_warnings(terminal, printer):
    """What needs a look stands out."""
    printer("worker-1", logged("warning", **ATTEMPT, outcome="error", error_type="E"))
    assert "\x1b[33mattempt 1 failed" in terminal.getvalue()


def test_no_colour_is_printed_where_none_is_wanted(monkeypatch, clock):
    """NO_COLOR is the word of the user."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    PeoplePrinter(terminal, ["a"], clock=clock)("a", logged("error", event="x"))
    assert "\x1b[3" not in terminal.getvalue()


def test_many_successes_in_a_second_become_a_count(terminal, printer, clock):
    """The first are shown, the others counted, and what fails is shown each time."""
    for _ in range(SHOWN_SUCCESSES_A_SECOND + 1_234):
        printer("worker-1", logged(**ATTEMPT, outcome="ok", run_ms=1))
    printer("worker-1", logged("warning", **ATTEMPT, outcome="error"))
    assert [line.split()[2] for line in terminal.lines] == ["succeeded"] * SHOWN_SUCCESSES_A_SECOND + ["attempt"]
    printer.tick()
    assert len(terminal.lines) == SHOWN_SUCCESSES_A_SECOND + 1
    clock.now += 1
    printer.tick()
    assert terminal.lines[-1].strip() == "... and 1,234 more jobs succeeded"
    clock.now += 1
    printer.tick()
    printer("worker-1", logged(**ATTEMPT, outcome="ok", run_ms=1))
    assert terminal.lines[-1].endswith("succeeded in 1 ms")
    assert len(terminal.lines) == SHOWN_SUCCESSES_A_SECOND + 3


def test_a_count_is_printed_before_the_jobs_of_the_next_second(terminal, printer, clock):
    """The count of a second is printed before the jobs of the next one, even when no tick has come in between."""
    for _ in range(SHOWN_SUCCESSES_A_SECOND + 1):
        printer("worker-1", logged(**ATTEMPT, outcome="ok", run_ms=1))
    clock.now += 1
    printer("worker-1", logged(**ATTEMPT, outcome="ok", run_ms=7))
    assert [line.strip().partition(" ")[0] for line in terminal.lines[-2:]] == ["...", "worker-1"]


def test_a_file_gets_the_lines_as_they_are_and_a_terminal_those_for_people(terminal):
    """A program that reads the log reads JSON."""
    assert isinstance(printer_for(io.StringIO(), ["a"]), LinePrinter)
    assert isinstance(printer_for(terminal, ["a"]), PeoplePrinter)
