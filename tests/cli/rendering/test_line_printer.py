"""What several processes say, in one stream that programs read."""

import io

from millstream_cli.rendering.line_printer import LinePrinter


def test_printer_heads_each_line_with_a_name_of_one_width() -> None:
    """Lines of different speakers stand under one another, and are left as they are."""
    stream = io.StringIO()
    printer = LinePrinter(stream, ["ingest", "worker-1"])
    printer("ingest", '{"event":"started"}')
    printer("worker-1", "ready")
    printer("a stranger", "x")
    printer.tick()
    assert stream.getvalue() == 'ingest   | {"event":"started"}\nworker-1 | ready\na stranger | x\n'
