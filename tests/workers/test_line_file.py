"""The file of a handler process has its last log lines, whatever has become of the process."""

import os

import pytest

from millstream_contracts import KeptLine, limits
from millstream_workers.isolation.line_file import LineFile, LineWriter

MAX_BYTES = 4_096


def line(number: int) -> KeptLine:
    """Return a line of some length."""
    return KeptLine(number, "info", f"{number} {'x' * 100}")


@pytest.fixture
def file():
    """Yield a file, and close it."""
    made = LineFile(MAX_BYTES)
    yield made
    made.close()


@pytest.fixture
def writer(file):
    """Return what writes it, as the handler process does: over a descriptor of its own."""
    return LineWriter(os.dup(file.descriptor), MAX_BYTES)


@pytest.mark.parametrize("count", [1, 39, 40, 200, 5_000])
def test_the_last_lines_are_read_however_many_there_were(file, writer, count):
    """The newest lines are there, without a hole, as many as the bound allows; all others are counted."""
    writer.begin(7)
    for number in range(count):
        writer.keep(line(number), "")
    kept = file.read(7)
    numbers = [one.at_ms for one in kept.lines]
    assert numbers == list(range(count - len(numbers), count))
    assert kept.left_out == count - len(numbers)
    assert len(numbers) == count or len(numbers) > MAX_BYTES // 130
    assert len(numbers) <= limits.MAX_LOG_LINES


def test_lines_of_another_order_are_not_read(file, writer):
    """A job has no lines of the job before it, also when it has none of its own."""
    assert file.read(1) is None
    writer.begin(1)
    writer.keep(line(1), "")
    writer.begin(2)
    assert file.read(1) is None
    assert file.read(2) is None


def test_what_a_handler_writes_into_the_file_stops_nothing(file, writer):
    """Bytes that are no lines are passed over, and so is a file that was cut."""
    writer.begin(1)
    for number in range(20):
        writer.keep(line(number), "")
    os.pwrite(file.descriptor, b"\xff" * 2_000, 60)
    assert file.read(1) is None or len(file.read(1).lines) < 20
    os.pwrite(file.descriptor, b"\xff" * 28, 0)
    assert file.read(1) is None
    os.ftruncate(file.descriptor, 10)
    assert file.read(1) is None
