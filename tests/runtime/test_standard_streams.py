"""A standard stream may be closed or full without an error."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from millstream_runtime.standard_streams import LastingStream


def test_what_a_closed_pipe_does_not_take_is_lost_and_the_next_line_too() -> None:
    """A line to a closed pipe is lost without an error, and so are the next ones."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        lasting = LastingStream(stream)
        os.close(reading)
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            assert lasting.write("x" * 9_000) == 9_000
            lasting.flush()
        assert Path(f"/proc/self/fd/{writing}").readlink() == Path(os.devnull)
        assert lasting.fileno() == writing
        assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it needs a device that is always full")
def test_a_full_disk_is_not_given_up() -> None:
    """After a full disk the next line is written again."""
    with ExitStack() as stack:
        stream = stack.enter_context(Path("/dev/full").open("w"))
        lasting = LastingStream(stream)
        lasting.write("x")
        lasting.flush()
        assert Path(f"/proc/self/fd/{stream.fileno()}").readlink() == Path("/dev/full")
        # What it holds is tried once more when it is closed.
        stack.pop_all()
    with pytest.raises(OSError, match="No space"):
        stream.close()
