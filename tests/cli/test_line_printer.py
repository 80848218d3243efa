"""The output of several processes goes to one stream."""

import io

from millstream_cli.line_printer import LinePrinter


def test_printer_heads_each_line_with_a_name_of_one_width() -> None:
    """Each line begins with the name of its process, padded to one width."""
    stream = io.StringIO()
    printer = LinePrinter(stream, ["ingest", "worker-1"])
    printer("ingest", "ready")
    printer("worker-1", "ready")
    assert stream.getvalue() == "ingest   | ready\nworker-1 | ready\n"


def test_printer_colours_names_on_a_terminal_only() -> None:
    """Names are coloured on a terminal only."""
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    LinePrinter(stream, ["a"])("a", "x")
    assert stream.getvalue() == "\x1b[36ma |\x1b[0m x\n"


def test_printer_takes_a_speaker_it_was_not_told_of() -> None:
    """A line of an unknown process is printed with its name and without a colour."""
    stream = io.StringIO()
    LinePrinter(stream, ["a"], colour=True)("a stranger", "x")
    assert "a stranger |" in stream.getvalue()
