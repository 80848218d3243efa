"""The tests of the pages about testing and schedules pass, as a user runs them."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("name", "passed"), [("testing", "11 passed"), ("schedules", "1 passed")])
def test_the_tests_of_the_example_pass(name: str, passed: str) -> None:
    """Each test of an example passes, by the command that the head of `examples/testing.py` names."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", "-W", "error"]
    options = ["-o", f"millstream_app={name}:app", f"{name}.py"]
    ran = subprocess.run([*command, *options], cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert passed in ran.stdout, ran.stdout + ran.stderr
