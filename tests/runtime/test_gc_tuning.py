"""The garbage collector is tuned so that it does not hold up requests."""

import subprocess
import sys

import pytest

SCRIPT = """
import gc
import millstream_{service}.service
from millstream_runtime.gc_tuning import YOUNG_OBJECTS, tune_gc
tune_gc()
print(gc.isenabled(), gc.get_threshold()[0] == YOUNG_OBJECTS)
print(gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 1_000)
"""


@pytest.mark.parametrize("service", ["ingest", "console", "dispatcher"])
def test_what_start_up_made_is_never_looked_at_again(service: str) -> None:
    """Objects of the start-up are frozen, and cycles that requests make are still collected."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(service=service)], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.split() == ["True"] * 4
