"""The example of the page about testing passes, as a user runs it."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_tests_of_the_example_pass() -> None:
    """Each test of `examples/testing.py` passes, by the command that its head names."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", "-W", "error"]
    options = ["-o", "millstream_app=testing:app", "testing.py"]
    ran = subprocess.run([*command, *options], cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert "10 passed" in ran.stdout, ran.stdout + ran.stderr
